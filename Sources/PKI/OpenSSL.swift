import COpenSSL

/// Calls OpenSSL's functions. Each helper empties OpenSSL's error queue before the call. After a failure, it takes all
/// errors from the queue.
enum OpenSSL {
    /// Returns the result of a call. Throws if the result is nil, by which OpenSSL reports a failure.
    @discardableResult
    static func require<Value>(_ action: String, _ call: @autoclosure () -> Value?) throws(PKIError) -> Value {
        ERR_clear_error()
        guard let value = call() else { throw failure(action) }
        return value
    }

    /// Throws if a call returns zero or less, by which OpenSSL reports a failure.
    static func check(_ action: String, _ call: @autoclosure () -> Int32) throws(PKIError) {
        ERR_clear_error()
        guard call() > 0 else { throw failure(action) }
    }

    /// Empties the error queue. The queue is nearly always empty, and testing for that is faster than emptying it.
    static func clearErrors() { if ERR_peek_error() != 0 { ERR_clear_error() } }

    /// Empties the error queue and returns the reasons. The errors' additional data is left out, since it may quote the
    /// input.
    static func drainReasons() -> [String] {
        var reasons: [String] = []
        while true {
            let code = ERR_get_error()
            guard code != 0 else { return reasons }
            // This is safe, since both functions return static texts, or nil for unknown codes.
            let library = unsafe ERR_lib_error_string(code).map { unsafe String(cString: $0) }
            let reason = unsafe ERR_reason_error_string(code).map { unsafe String(cString: $0) }
            reasons.append("\(library ?? "OpenSSL"): \(reason ?? "error \(code)")")
        }
    }

    private static func failure(_ action: String) -> PKIError { .openSSL(action, reasons: drainReasons()) }

    /// Encodes an object in DER. `call` calls one of OpenSSL's `i2d` functions.
    static func encode(
        _ action: String, _ call: (UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>) -> Int32
    ) throws(PKIError) -> [UInt8] {
        var output: UnsafeMutablePointer<UInt8>?
        ERR_clear_error()
        // If `output` is nil, an i2d function allocates the memory. `aegis_free` frees it below.
        let length = unsafe call(&output)
        guard length > 0, let start = unsafe output else { throw failure(action) }
        defer { unsafe aegis_free(start) }
        return unsafe Array(UnsafeBufferPointer(start: start, count: Int(length)))
    }

    /// Decodes an object from DER. `call` calls one of OpenSSL's `d2i` functions. Returns nil if the DER can't be read,
    /// or if bytes follow the object.
    static func decode(
        _ der: Span<UInt8>, free: (OpaquePointer?) -> Void,
        _ call: (UnsafeMutablePointer<UnsafePointer<UInt8>?>, Int) -> OpaquePointer?
    ) -> OpaquePointer? {
        ERR_clear_error()
        // This is safe, since a d2i function reads at most the given number of bytes, and moves `position` past the
        // last byte that it read.
        return unsafe der.withUnsafeBufferPointer { bytes in
            var position = bytes.baseAddress
            guard let start = unsafe position, let object = unsafe call(&position, bytes.count) else { return nil }
            guard unsafe position == start + bytes.count else {
                unsafe free(object)
                return nil
            }
            return unsafe object
        }
    }

    /// Converts an ASN.1 time to seconds since 1970. Returns nil if the time can't be read.
    static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64? {
        guard let time = unsafe time, let epoch = unsafe ASN1_TIME_set(nil, 0) else { return nil }
        defer { unsafe ASN1_TIME_free(epoch) }
        var days: Int32 = 0
        var rest: Int32 = 0
        ERR_clear_error()
        defer { ERR_clear_error() }
        guard unsafe ASN1_TIME_diff(&days, &rest, epoch, time) == 1 else { return nil }
        return Int64(days) * 86400 + Int64(rest)
    }

    /// Returns the SHA-256 digest, 32 bytes.
    static func sha256(_ bytes: Span<UInt8>) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
        // This is safe, since EVP_Digest reads only the given bytes and writes exactly 32 bytes. It fails only if
        // memory runs out.
        let result = unsafe bytes.withUnsafeBufferPointer { input in
            unsafe EVP_Digest(input.baseAddress, input.count, &digest, nil, sha256Algorithm, nil)
        }
        precondition(result == 1, "SHA-256 can't be computed")
        return digest
    }

    /// Returns the SHA-1 digest, 20 bytes.
    static func sha1(_ bytes: Span<UInt8>) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: Int(SHA_DIGEST_LENGTH))
        // This is safe, since EVP_Digest reads only the given bytes and writes exactly 20 bytes. It fails only if
        // memory runs out.
        let result = unsafe bytes.withUnsafeBufferPointer { input in
            unsafe EVP_Digest(input.baseAddress, input.count, &digest, nil, EVP_sha1(), nil)
        }
        precondition(result == 1, "SHA-1 can't be computed")
        return digest
    }

    // Sharing these pointers is sound: OpenSSL's algorithm objects never change, and these are never freed. They are
    // fetched once, since a search in OpenSSL's providers takes longer than hashing a certificate.
    private nonisolated(unsafe) static let sha256Algorithm = unsafe EVP_MD_fetch(nil, "SHA256", nil)
    nonisolated(unsafe) static let gcmAlgorithm = unsafe EVP_CIPHER_fetch(nil, "AES-256-GCM", nil)

    /// Returns random bytes from OpenSSL's generator for secrets (RAND_priv_bytes(3)).
    static func secretRandomBytes(_ count: Int) throws(PKIError) -> SecretBytes {
        try SecretBytes(capacity: count) { output throws(PKIError) in
            output.append(repeating: 0, count: count)
            var bytes = output.mutableSpan
            try unsafe bytes.withUnsafeMutableBufferPointer { buffer throws(PKIError) in
                try unsafe check("getting random bytes", RAND_priv_bytes(buffer.baseAddress, Int32(count)))
            }
        }
    }

    /// Returns random bytes for values that others may see (RAND_bytes(3)).
    static func randomBytes(_ count: Int) throws(PKIError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        try unsafe check("getting random bytes", RAND_bytes(&bytes, Int32(count)))
        return bytes
    }
}
