import Foundation
import HTTPClient
import PKI
import TestSupport

/// A server with a certificate from a CA of its own.
final class TestServer: Sendable {
    static let userAgent = "aegis/test"
    /// One server for all tests that don't check which requests it has received.
    static let shared = Result { try TestServer() }

    let port: Int
    /// A port that accepts connections and never answers.
    let mutePort: Int
    private let companion: Companion
    private let pem: [UInt8]

    /// A server for "ca.test" and 127.0.0.1, with TLS unless `isPlain`.
    convenience init(isPlain: Bool = false, now: Int64 = Int64(Date().timeIntervalSince1970)) throws {
        let authority = try CertificateAuthority.makeRoot(commonName: "Test CA", now: now)
        let key = try PrivateKey.generate(.ecdsaP256)
        let names: [SubjectName] = [.dns("ca.test"), .ip("127.0.0.1")]
        let leaf = try authority.issue(for: key, names: names, now: now, lifetimeSeconds: 86400)
        try self.init(chain: isPlain ? [] : [leaf], key: key, trusted: authority.certificate)
    }

    /// A server with this chain, and clients that trust one certificate. Without a chain the server speaks plain HTTP.
    /// With `authority`, it asks clients for certificates from that CA.
    init(chain: [Certificate], key: PrivateKey, trusted: Certificate, asking authority: Certificate? = nil) throws {
        pem = Array(trusted.pem.utf8)
        let folder = try TemporaryFolder()
        let certificate = try folder.file("certificate.pem", chain.map(\.pem).joined())
        let keyFile = try folder.file("key.pem", String(decoding: key.pem().plainCopy(), as: UTF8.self))
        companion =
            if chain.isEmpty {
                try Companion("http_server.py")
            } else if let authority {
                try Companion("http_server.py", certificate, keyFile, folder.file("authority.pem", authority.pem))
            } else {
                try Companion("http_server.py", certificate, keyFile)
            }
        let ports = companion.words.compactMap(Int.init)
        (port, mutePort) = (ports[0], ports[1])
    }

    func url(_ path: String) -> String { "https://127.0.0.1:\(port)\(path)" }

    /// A client that trusts this server's CA.
    func client(
        timeout: Duration = .seconds(20), maximumBytes: Int = 1 << 20, followsRedirects: Int = 0,
        plainHTTP: HTTPClient.PlainHTTP = .nowhere, credential: TLSCredential? = nil
    ) throws -> HTTPClient {
        try HTTPClient(
            trust: .authorities(pem: pem), credential: credential, userAgent: Self.userAgent, timeout: timeout,
            maximumBytes: maximumBytes, followsRedirects: followsRedirects, plainHTTP: plainHTTP,
            resolutions: ["ca.test", "other.test"].map { .init(host: $0, port: port, address: "127.0.0.1") })
    }

    /// The requests that the server has received: connection, method and path of each.
    func requests() throws -> [String] {
        let body = try client().send(HTTPRequest(.get, url("/requests"))).body
        let list = try JSONSerialization.jsonObject(with: Data(body)) as? [[Any]] ?? []
        return list.map { $0.prefix(3).map { "\($0)" }.joined(separator: " ") }
    }
}

/// A request as the server has received it.
struct Echo: Decodable {
    let method: String
    let path: String
    let fields: [[String]]
    let body: String
    let connection: Int
    /// The subject of the certificate that the client has shown.
    let shown: [String]

    init(_ response: HTTPResponse) throws { self = try JSONDecoder().decode(Echo.self, from: Data(response.body)) }

    func value(of name: String) -> String? { fields.first { $0[0].lowercased() == name }?[1] }
}
