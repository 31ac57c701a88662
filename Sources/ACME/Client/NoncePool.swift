import PKI

/// Nonces that the CA has given out and that are still unused (RFC 8555, section 6.5). The youngest is used first: CAs forget
/// the old ones.
struct NoncePool {
    private static let maximumNonces = 8
    private var nonces: [String] = []

    /// Keeps a nonce.
    mutating func keep(_ nonce: String) {
        if nonces.count == Self.maximumNonces { nonces.removeFirst() }
        nonces.append(nonce)
    }

    /// Takes one out.
    mutating func take() -> String? { nonces.popLast() }
}

extension ACMEHTTPResponse {
    /// The nonce that came with it; one that breaks the grammar counts for nothing (RFC 8555, section 6.5.1).
    var nonce: String? {
        guard let replayNonce, 1...1024 ~= replayNonce.utf8.count, Base64URL.isText(replayNonce.utf8) else {
            return nil
        }
        return replayNonce
    }
}
