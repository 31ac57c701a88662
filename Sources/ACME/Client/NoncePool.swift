import PKI

/// The unused nonces that the CA has issued (RFC 8555, section 6.5). The newest is used first, since CAs forget old
/// ones.
struct NoncePool {
    private static let maximumNonces = 8
    private var nonces: [String] = []

    mutating func keep(_ nonce: String) {
        if nonces.count == Self.maximumNonces { nonces.removeFirst() }
        nonces.append(nonce)
    }

    /// Removes and returns the newest nonce.
    mutating func removeYoungest() -> String? { nonces.popLast() }
}

extension ACMEHTTPResponse {
    /// The nonce in the answer; nil when there is none, or it breaks the grammar (RFC 8555, section 6.5.1).
    var nonce: String? {
        guard let replayNonce, 1...1024 ~= replayNonce.utf8.count, Base64URL.isText(replayNonce.utf8) else {
            return nil
        }
        return replayNonce
    }
}
