import PKI

/// Unused nonces from the CA (RFC 8555 section 6.5). The newest nonce is used first, since CAs forget old nonces.
struct NoncePool {
    private static let maximumNonces = 8
    private var nonces: [String] = []

    mutating func keep(_ nonce: String) {
        if nonces.count == Self.maximumNonces { nonces.removeFirst() }
        nonces.append(nonce)
    }

    mutating func removeYoungest() -> String? { nonces.popLast() }
}

extension ACMEHTTPResponse {
    /// The nonce in an answer. Nil if the answer has no nonce, or if the nonce is not base64url (RFC 8555 section
    /// 6.5.1).
    var nonce: String? {
        guard let replayNonce, 1...1024 ~= replayNonce.utf8.count, Base64URL.isText(replayNonce.utf8) else {
            return nil
        }
        return replayNonce
    }
}
