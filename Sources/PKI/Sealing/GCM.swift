import COpenSSL

/// One encryption or decryption with AES-256-GCM.
@safe
struct GCM: ~Copyable {
    enum Direction: Int32 {
        case open = 0
        case seal = 1
    }

    private let context: OpaquePointer

    init(key: SecretBytes, nonce: [UInt8], direction: Direction) throws(PKIError) {
        precondition(key.count == 32 && nonce.count == 12, "AES-256-GCM takes 32 and 12 bytes")
        let context = try unsafe OpenSSL.require("starting AES-256-GCM", EVP_CIPHER_CTX_new())
        do throws(PKIError) {
            try key.withBytes { key throws(PKIError) in
                try unsafe key.withUnsafeBufferPointer { key throws(PKIError) in
                    try unsafe OpenSSL.check(
                        "starting AES-256-GCM",
                        EVP_CipherInit_ex(
                            context, OpenSSL.gcmAlgorithm, nil, key.baseAddress, nonce, direction.rawValue))
                }
            }
        } catch {
            unsafe EVP_CIPHER_CTX_free(context)
            throw error
        }
        unsafe self.context = context
    }

    // EVP_CIPHER_CTX_free also wipes the key that OpenSSL expanded.
    deinit { unsafe EVP_CIPHER_CTX_free(context) }

    /// Adds data that is authenticated but not encrypted.
    func authenticate(_ data: [UInt8]) throws(PKIError) {
        var written: Int32 = 0
        try unsafe OpenSSL.check(
            "authenticating data", EVP_CipherUpdate(context, nil, &written, data, Int32(data.count)))
    }

    /// Encrypts or decrypts the whole input. The output must be as long as the input, at most 2 GiB - 1.
    func process(_ input: Span<UInt8>, into output: inout MutableSpan<UInt8>) throws(PKIError) {
        precondition(input.count == output.count && input.count <= Int32.max, "GCM keeps the length")
        guard input.count > 0 else { return }
        // This is safe, since GCM writes exactly as many bytes as it reads, and the precondition ensures that both
        // spans have equal lengths.
        try unsafe input.withUnsafeBufferPointer { input throws(PKIError) in
            try unsafe output.withUnsafeMutableBufferPointer { output throws(PKIError) in
                var written: Int32 = 0
                try unsafe OpenSSL.check(
                    "running AES-256-GCM",
                    EVP_CipherUpdate(context, output.baseAddress, &written, input.baseAddress, Int32(input.count)))
            }
        }
    }

    /// Ends an encryption and returns the authentication tag.
    func finish(tagBytes: Int) throws(PKIError) -> [UInt8] {
        var tag = [UInt8](repeating: 0, count: tagBytes)
        var written: Int32 = 0
        try unsafe OpenSSL.check("ending AES-256-GCM", EVP_CipherFinal_ex(context, &tag, &written))
        try unsafe OpenSSL.check(
            "reading a tag", EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(tagBytes), &tag))
        return tag
    }

    /// Ends a decryption. Returns whether the authentication tag is correct.
    func verify(tag: [UInt8]) throws(PKIError) -> Bool {
        var tag = tag
        var written: Int32 = 0
        var none: UInt8 = 0
        try unsafe OpenSSL.check(
            "setting a tag", EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(tag.count), &tag))
        defer { ERR_clear_error() }
        return unsafe EVP_CipherFinal_ex(context, &none, &written) == 1
    }
}
