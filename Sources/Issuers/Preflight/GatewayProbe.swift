import PKI

/// Lets a gateway prove its identity at the URLs of http-01. The asking process knows the gateway's identity from the
/// state and sends a random token. The gateway answers with a digest of the token and its identity. No other server can
/// compute the digest, and the digest does not reveal the identity.
package enum GatewayProbe {
    private static let prefix = "aegis-probe-"
    /// The number of hex digits in a token, for 128 bits.
    private static let digits = 32

    /// Makes a random token. No earlier answer can be replayed, since each token is new.
    package static func makeToken() -> String {
        let bytes = (0..<digits / 2).map { _ in UInt8.random(in: .min ... .max) }
        return prefix + bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// Whether a text has the form of a token from `makeToken`.
    package static func isToken(_ bytes: [UInt8]) -> Bool {
        bytes.count == prefix.utf8.count + digits && bytes.starts(with: prefix.utf8)
            && bytes.dropFirst(prefix.utf8.count).allSatisfy { byte in
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
            }
    }

    /// Returns the answer of a gateway. `identity` is the gateway's `GatewayNode.id`.
    package static func answer(to token: [UInt8], from identity: String) -> [UInt8] {
        Array(Digest.sha256Text(token + Array(" \(identity)".utf8)).utf8)
    }
}
