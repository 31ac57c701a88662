import COpenSSL

/// How OpenSSL is called: with an empty error queue before, and the whole of it read when a call has failed.
enum OpenSSL {
    /// The value of a call that says with nil that it failed.
    @discardableResult
    static func require<Value>(_ action: String, _ call: @autoclosure () -> Value?) throws(PKIError) -> Value {
        ERR_clear_error()
        guard let value = call() else { throw failure(action) }
        return value
    }

    /// A call that says with zero or less that it failed.
    static func check(_ action: String, _ call: @autoclosure () -> Int32) throws(PKIError) {
        ERR_clear_error()
        guard call() > 0 else { throw failure(action) }
    }

    /// Empties the error queue. It is empty already but for the rarest cases, and looking costs less than emptying.
    static func clearErrors() { if ERR_peek_error() != 0 { ERR_clear_error() } }

    /// What the error queue holds, which is empty afterwards. Without the errors' data: that can quote the input.
    static func drainReasons() -> [String] {
        var reasons: [String] = []
        while true {
            let code = ERR_get_error()
            guard code != 0 else { return reasons }
            // Both give static texts, or nil for codes that are unknown.
            let library = unsafe ERR_lib_error_string(code).map { unsafe String(cString: $0) }
            let reason = unsafe ERR_reason_error_string(code).map { unsafe String(cString: $0) }
            reasons.append("\(library ?? "OpenSSL"): \(reason ?? "error \(code)")")
        }
    }

    private static func failure(_ action: String) -> PKIError { .openSSL(action, reasons: drainReasons()) }

    /// The DER of an object, by one of OpenSSL's `i2d` functions.
    static func encode(
        _ action: String, _ call: (UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>) -> Int32
    ) throws(PKIError) -> [UInt8] {
        var output: UnsafeMutablePointer<UInt8>?
        ERR_clear_error()
        // Given a pointer to nil, i2d allocates what it writes; the buffer is freed below.
        let length = unsafe call(&output)
        guard length > 0, let start = unsafe output else { throw failure(action) }
        defer { unsafe aegis_free(start) }
        return unsafe Array(UnsafeBufferPointer(start: start, count: Int(length)))
    }

    /// The object of some DER, by one of OpenSSL's `d2i` functions; nil when it can't be read or bytes are left over.
    static func decode(
        _ der: Span<UInt8>, free: (OpaquePointer?) -> Void,
        _ call: (UnsafeMutablePointer<UnsafePointer<UInt8>?>, Int) -> OpaquePointer?
    ) -> OpaquePointer? {
        ERR_clear_error()
        // d2i reads only the bytes given and moves the pointer behind what it has read.
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

    /// The SHA-256 of some bytes: 32 bytes.
    static func sha256(_ bytes: Span<UInt8>) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
        // EVP_Digest reads the given bytes and writes exactly 32. Nothing but a lack of memory makes it fail.
        let result = unsafe bytes.withUnsafeBufferPointer { input in
            unsafe EVP_Digest(input.baseAddress, input.count, &digest, nil, sha256Algorithm, nil)
        }
        precondition(result == 1, "SHA-256 can't be computed")
        return digest
    }

    // Looked up once: each look among OpenSSL's providers takes longer than a certificate's digest. Never freed, and sound
    // to share, since algorithms don't change.
    private nonisolated(unsafe) static let sha256Algorithm = unsafe EVP_MD_fetch(nil, "SHA256", nil)
    /// AES-256-GCM.
    nonisolated(unsafe) static let gcmAlgorithm = unsafe EVP_CIPHER_fetch(nil, "AES-256-GCM", nil)

    /// Bytes from OpenSSL's generator for secrets.
    static func secretRandomBytes(_ count: Int) throws(PKIError) -> SecretBytes {
        try SecretBytes(capacity: count) { output throws(PKIError) in
            output.append(repeating: 0, count: count)
            var bytes = output.mutableSpan
            try unsafe bytes.withUnsafeMutableBufferPointer { buffer throws(PKIError) in
                try unsafe check("getting random bytes", RAND_priv_bytes(buffer.baseAddress, Int32(count)))
            }
        }
    }

    /// Bytes from OpenSSL's random generator.
    static func randomBytes(_ count: Int) throws(PKIError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        try unsafe check("getting random bytes", RAND_bytes(&bytes, Int32(count)))
        return bytes
    }
}
