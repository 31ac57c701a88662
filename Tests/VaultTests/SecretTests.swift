import PKI
import Testing

@testable import Vault

/// Secrets in real KV mounts.
@Suite struct SecretTests {
    private let server: VaultServerProgram

    init() throws { server = try VaultServerProgram.shared.get() }

    private func place(_ mount: String, _ path: String, ca: String? = "ca") -> VaultSecretPlace {
        VaultSecretPlace(mount: mount, path: path, certificate: "cert", key: "key", authorities: ca)
    }

    private func text(_ secret: SecretBytes?) -> String? {
        secret.map { String(decoding: $0.plainCopy(), as: UTF8.self) }
    }

    private func session(_ name: String, _ mount: String) throws -> VaultSession {
        try server.session(name, policy: #"path "\#(mount)/*" { capabilities = ["read"] }"#)
    }

    private func missing(_ session: VaultSession, _ place: VaultSecretPlace) throws -> VaultError {
        try #require(#expect(throws: VaultError.self) { try session.secret(at: place) })
    }

    @Test(
        "A secret is read with its version; deleted, destroyed and unknown secrets are distinguished")
    func versions() throws {
        let place = place("secret", "kv/versions")
        let session = try session("versions", "secret")
        #expect(try session.version(of: place) == .absent)
        #expect(
            try missing(session, place).description
                == "Vault's secret 'secret/kv/versions' can't be read: there is none (are mount and path right?)")
        for number in 1...2 {
            try server.set("secret/data/kv/versions", ["data": ["cert": "C\(number)", "key": "K", "ca": "A", "n": 7]])
            #expect(try session.version(of: place) == .present(Int64(number)))
            let content = try session.secret(at: place)
            #expect(
                text(content.certificate) == "C\(number)" && text(content.key) == "K"
                    && text(content.authorities) == "A")
            #expect(content.version == Int64(number))
        }
        #expect(try server.operate(.delete, "secret/data/kv/versions").status == 204)
        #expect(try session.version(of: place) == .deleted(2))
        let deleted = try missing(session, place)
        #expect(deleted.kind == .missing(.deleted(2)))
        #expect(
            deleted.description
                == "Vault's secret 'secret/kv/versions' can't be read: version 2 was deleted (undelete it, or write a new version)"
        )
        try server.set("secret/undelete/kv/versions", ["versions": [2]])
        #expect(try session.version(of: place) == .present(2))
        try server.set("secret/destroy/kv/versions", ["versions": [2]])
        #expect(try session.version(of: place) == .destroyed(2))
        #expect(try missing(session, place).kind == .missing(.destroyed(2)))
        #expect(try server.operate(.delete, "secret/metadata/kv/versions").status == 204)
        #expect(try session.version(of: place) == .absent)
        #expect(try missing(session, place).kind == .missing(.absent))
    }

    @Test("A version with a future deletion time is present")
    func deletedLater() throws {
        try server.set("secret/metadata/kv/later", ["delete_version_after": "1h"])
        try server.set("secret/data/kv/later", ["data": ["cert": "C", "key": "K"]])
        let (place, session) = (place("secret", "kv/later", ca: nil), try session("later", "secret"))
        #expect(try session.version(of: place) == .present(1))
        #expect(try session.secret(at: place).authorities == nil)
    }

    @Test("A KV mount of version 1 is recognised and read")
    func unversioned() throws {
        try server.set("sys/mounts/team/kv1", ["type": "kv", "options": ["version": "1"]])
        let (place, session) = (place("team/kv1", "edge 1", ca: nil), try session("unversioned", "team/kv1"))
        #expect(try missing(session, place).kind == .missing(.absent))
        try server.set("team/kv1/edge%201", ["cert": "C", "key": "K"])
        #expect(try session.version(of: place) == .unknown)
        let content = try session.secret(at: place)
        #expect(text(content.certificate) == "C" && content.version == nil)
    }

    @Test("A new mount is awaited while it upgrades itself")
    func fresh() throws {
        try server.set("sys/mounts/fresh", ["type": "kv", "options": ["version": "2"]])
        let (place, session) = (place("fresh", "x"), try session("fresh", "fresh"))
        _ = try? session.version(of: place)
        #expect(try missing(session, place).kind == .missing(.absent))
    }

    @Test("A missing or non-text member, and a mount of another kind, are reported")
    func odd() throws {
        try server.set("secret/data/kv/odd", ["data": ["cert": "C", "key": ["canary"]]])
        let session = try session("odd", "secret")
        let key = try missing(session, place("secret", "kv/odd"))
        #expect(key.reason == "Vault's secret 'secret/kv/odd' has a 'key' that is no text")
        let other = VaultSecretPlace(mount: "secret", path: "kv/odd", certificate: "crt", key: "key", authorities: nil)
        #expect(try missing(session, other).reason == "Vault's secret 'secret/kv/odd' has no 'crt'")
        let root = VaultSession(try server.client(), login: VaultLogin(.token(secret("root"))), jitter: 0)
        #expect(
            try missing(root, place("sys", "x")).description
                == "Vault's mount 'sys' is of the kind 'system', not kv (is the mount right?)")
    }

    @Test("A token without rights on metadata still reads the secret")
    func withoutMetadata() throws {
        try server.set("secret/data/kv/plain", ["data": ["cert": "C", "key": "K", "ca": "A"]])
        let session = try server.session("plain", policy: #"path "secret/data/kv/plain" { capabilities = ["read"] }"#)
        let place = place("secret", "kv/plain")
        #expect(try session.version(of: place) == .unknown)
        #expect(try session.secret(at: place).version == 1)
    }
}
