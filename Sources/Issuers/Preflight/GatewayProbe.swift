import PKI

/// Lets a gateway prove its identity to a process that knows it from the state. At the URLs of http-01, the gateway
/// answers tokens of this form with a digest over its identity. No other server can give that answer, and the answer
/// does not reveal the identity.
package enum GatewayProbe {
    private static let prefix = "aegis-probe-"
    /// 128 bits in hexadecimal.
    private static let digits = 32

    /// Makes a random token, so that no earlier answer fits it.
    package static func makeToken() -> String {
        let bytes = (0..<digits / 2).map { _ in UInt8.random(in: .min ... .max) }
        return prefix + bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// Whether a request asks for such a token.
    package static func isToken(_ bytes: [UInt8]) -> Bool {
        bytes.count == prefix.utf8.count + digits && bytes.starts(with: prefix.utf8)
            && bytes.dropFirst(prefix.utf8.count).allSatisfy { byte in
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
            }
    }

    /// The answer of the gateway with this identity (`GatewayNode.id`).
    package static func answer(to token: [UInt8], from identity: String) -> [UInt8] {
        Array(Digest.sha256Text(token + Array(" \(identity)".utf8)).utf8)
    }
}
