import Foundation
import HTTPClient
import PKI
import Synchronization
import TestSupport
import Testing

@testable import Vault

/// A real server (OpenBao in development mode) with a PKI mount, KV mounts and all login methods.
final class VaultServerProgram: Sendable {
    /// One server for all tests. Each test has its own roles, paths and mounts.
    static let shared = Result { try VaultServerProgram() }

    let port: Int
    let tlsPort: Int
    let unsealKey: String
    let kubernetesPort: Int
    /// The CA of the TLS listener's certificate.
    let authority: CertificateAuthority
    private let companion: Companion
    private let folder = try? TemporaryFolder()

    var address: String { "http://127.0.0.1:\(port)" }
    var tlsAddress: String { "https://127.0.0.1:\(tlsPort)" }

    init() throws {
        let now = Int64(Date().timeIntervalSince1970)
        authority = try CertificateAuthority.makeRoot(commonName: "Vault's TLS", now: now)
        let key = try PrivateKey.generate(.ecdsaP256)
        let leaf = try authority.issue(for: key, names: [.ip("127.0.0.1")], now: now, lifetimeSeconds: 86_400)
        let folder = try #require(folder)
        companion = try Companion(
            "vault_server.py", try Self.program(), folder.file("tls.pem", leaf.pem),
            folder.file("tls.key", String(decoding: key.pem().plainCopy(), as: UTF8.self)))
        let words = companion.words
        (port, tlsPort) = (try #require(Int(words[0])), try #require(Int(words[1])))
        (unsealKey, kubernetesPort) = (words[2], try #require(Int(words[3])))
    }

    /// The server's program. scripts/test installs it together with the Python modules of the tests.
    private static func program() throws -> String {
        let path =
            ProcessInfo.processInfo.environment["AEGIS_BAO"] ?? Repository.path(".build/test-venv/bin/bao")
        try #require(
            FileManager.default.isExecutableFile(atPath: path), "there is no \(path): scripts/test unit installs it")
        return path
    }

    /// Calls the server with the root token, as its operator would. Returns the answer's status and JSON.
    @discardableResult
    func operate(
        _ method: HTTPMethod, _ path: String, _ body: [String: Any]? = nil, token: String = "root"
    ) throws -> (status: Int, data: [String: Any]) {
        let client = try HTTPClient(userAgent: "operator", plainHTTP: .everywhere)
        let bytes = try body.map { Array(try JSONSerialization.data(withJSONObject: $0)) }
        let answer = try client.send(
            HTTPRequest(
                method, "\(address)/v1/\(path)", fields: [HTTPField("Content-Type", "application/json")],
                authorization: SecretField("X-Vault-Token", SecretBytes(Array(token.utf8))),
                body: bytes ?? (method == .post ? [] : nil)))
        let json = try? JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: Any]
        return (answer.status, json ?? [:])
    }

    /// Configures the server. If that fails, the test fails.
    @discardableResult
    func set(_ path: String, _ body: [String: Any] = [:], sourceLocation: SourceLocation = #_sourceLocation) throws
        -> [String: Any]
    {
        let (status, data) = try operate(.post, path, body)
        try #require(200...299 ~= status, "\(path): \(status) \(data)", sourceLocation: sourceLocation)
        return data["data"] as? [String: Any] ?? data
    }

    /// A client with a clock that a test can advance, and whose waits take no time.
    func client(_ clock: TestClock = TestClock(), overTLS: Bool = false, namespace: String? = nil) throws -> VaultClient
    {
        let server =
            overTLS
            ? VaultServer(address: tlsAddress, authorities: Array(authority.certificate.pem.utf8), namespace: namespace)
            : VaultServer(address: address, namespace: namespace)
        return try VaultClient(server, jitter: 0, wait: { _, _ in }, now: { clock.now })
    }

    /// A session with an AppRole of its own. `settings` are the role's settings.
    func session(
        _ role: String, policy: String = #"path "none" { capabilities = ["read"] }"#, settings: [String: Any] = [:],
        _ clock: TestClock = TestClock()
    ) throws -> VaultSession {
        _ = Self.mounts(self)
        try set("sys/policies/acl/\(role)", ["policy": policy])
        let all = settings.merging(["token_policies": role]) { own, _ in own }
        try set("auth/approle/role/\(role)", all)
        let roleID = try operate(.get, "auth/approle/role/\(role)/role-id").data["data"] as? [String: Any]
        let secretID = try set("auth/approle/role/\(role)/secret-id")
        return VaultSession(
            try client(clock),
            login: VaultLogin(
                .appRole(
                    roleID: secret(roleID?["role_id"] as? String ?? ""),
                    secretID: secret(secretID["secret_id"] as? String ?? ""))), jitter: 0)
    }

    /// Makes the mounts that several tests use, but only once.
    private static let isMounted = Mutex<Set<Int>>([])
    static func mounts(_ server: VaultServerProgram) -> Bool {
        isMounted.withLock { mounted in
            guard mounted.insert(server.port).inserted else { return true }
            return (try? server.set("sys/auth/approle", ["type": "approle"])) != nil
        }
    }
}

/// A clock that starts at the true time. A test can advance it.
final class TestClock: Sendable {
    private let ahead = Mutex<Int64>(0)
    var now: Int64 { Int64(Date().timeIntervalSince1970) + ahead.withLock { $0 } }
    func advance(_ seconds: Int64) { ahead.withLock { $0 += seconds } }
}

/// A secret that never changes.
func secret(_ text: String) -> VaultLogin.Secret { { SecretBytes(Array(text.utf8)) } }
