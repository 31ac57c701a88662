import COpenSSL

/// Calls OpenSSL: empties its error queue before a call, and reads the whole queue when the call has failed.
enum OpenSSL {
    /// The value of a call that returns nil when it fails.
    @discardableResult
    static func require<Value>(_ action: String, _ call: @autoclosure () -> Value?) throws(PKIError) -> Value {
        ERR_clear_error()
        guard let value = call() else { throw failure(action) }
        return value
    }

    /// Throws when a call returns zero or less, which means that it failed.
    static func check(_ action: String, _ call: @autoclosure () -> Int32) throws(PKIError) {
        ERR_clear_error()
        guard call() > 0 else { throw failure(action) }
    }

    /// Empties the error queue. It is nearly always empty already, and checking that costs less than emptying.
    static func clearErrors() { if ERR_peek_error() != 0 { ERR_clear_error() } }

    /// Returns the reasons in the error queue and empties it. The errors' data is left out: it can quote the input.
    static func drainReasons() -> [String] {
        var reasons: [String] = []
        while true {
            let code = ERR_get_error()
            guard code != 0 else { return reasons }
            // Both calls return static texts, or nil for unknown codes.
            let library = unsafe ERR_lib_error_string(code).map { unsafe String(cString: $0) }
            let reason = unsafe ERR_reason_error_string(code).map { unsafe String(cString: $0) }
            reasons.append("\(library ?? "OpenSSL"): \(reason ?? "error \(code)")")
        }
    }

    private static func failure(_ action: String) -> PKIError { .openSSL(action, reasons: drainReasons()) }

    /// Encodes an object as DER by one of OpenSSL's `i2d` functions.
    static func encode(
        _ action: String, _ call: (UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>) -> Int32
    ) throws(PKIError) -> [UInt8] {
        var output: UnsafeMutablePointer<UInt8>?
        ERR_clear_error()
        // Given a pointer to nil, i2d allocates its output. It is freed below.
        let length = unsafe call(&output)
        guard length > 0, let start = unsafe output else { throw failure(action) }
        defer { unsafe aegis_free(start) }
        return unsafe Array(UnsafeBufferPointer(start: start, count: Int(length)))
    }

    /// Decodes DER by one of OpenSSL's `d2i` functions; nil when it can't be read or bytes are left over.
    static func decode(
        _ der: Span<UInt8>, free: (OpaquePointer?) -> Void,
        _ call: (UnsafeMutablePointer<UnsafePointer<UInt8>?>, Int) -> OpaquePointer?
    ) -> OpaquePointer? {
        ERR_clear_error()
        // d2i reads only the given bytes, and moves `position` past the last byte it read.
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

    /// An ASN.1 time as seconds since 1970; nil when it can't be read. ASN.1 times end with the year 9999.
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

    /// The SHA-256 of some bytes: 32 bytes.
    static func sha256(_ bytes: Span<UInt8>) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
        // EVP_Digest reads the given bytes and writes exactly 32. It fails only when memory runs out.
        let result = unsafe bytes.withUnsafeBufferPointer { input in
            unsafe EVP_Digest(input.baseAddress, input.count, &digest, nil, sha256Algorithm, nil)
        }
        precondition(result == 1, "SHA-256 can't be computed")
        return digest
    }

    // Fetched once: searching OpenSSL's providers takes longer than a certificate's digest. Never freed. Sound to
    // share, since algorithms don't change.
    private nonisolated(unsafe) static let sha256Algorithm = unsafe EVP_MD_fetch(nil, "SHA256", nil)
    nonisolated(unsafe) static let gcmAlgorithm = unsafe EVP_CIPHER_fetch(nil, "AES-256-GCM", nil)

    /// Random bytes from OpenSSL's private generator, which is meant for secrets.
    static func secretRandomBytes(_ count: Int) throws(PKIError) -> SecretBytes {
        try SecretBytes(capacity: count) { output throws(PKIError) in
            output.append(repeating: 0, count: count)
            var bytes = output.mutableSpan
            try unsafe bytes.withUnsafeMutableBufferPointer { buffer throws(PKIError) in
                try unsafe check("getting random bytes", RAND_priv_bytes(buffer.baseAddress, Int32(count)))
            }
        }
    }

    /// Random bytes from OpenSSL's public generator.
    static func randomBytes(_ count: Int) throws(PKIError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        try unsafe check("getting random bytes", RAND_bytes(&bytes, Int32(count)))
        return bytes
    }
}
