import PKI
import TestSupport

@testable import DNS

/// The name servers that `dns_server.py` runs.
struct NameServer {
    static let shared = Result { try NameServer() }
    /// The secret of all keys.
    static let secret = SecretBytes(Array("c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldC0zMg==".utf8))

    /// Knot DNS, a real server.
    let knot: DNSServer
    /// A server that sends unrelated datagrams before the answer.
    let noisy: DNSServer
    /// A server that removes signatures.
    let unsigned: DNSServer
    /// A server that damages signatures.
    let spoiled: DNSServer
    /// A server that never answers.
    let mute: DNSServer
    private let companion: Companion

    init() throws {
        companion = try Companion("dns_server.py")
        let servers = companion.words.compactMap { UInt16($0) }.map { DNSServer(host: "127.0.0.1", port: $0) }
        (knot, noisy, unsigned, spoiled, mute) = (servers[0], servers[1], servers[2], servers[3], servers[4])
    }

    var lookup: DNSLookup { DNSLookup(servers: [knot]) }

    static func key(
        _ name: String, _ algorithm: DNSUpdateKey.Algorithm = .sha256, secret: SecretBytes = NameServer.secret
    ) throws -> DNSUpdateKey {
        try DNSUpdateKey(name: name, algorithm: algorithm, secret: secret)
    }
}
