import Foundation
import PKI
import Testing

@testable import Vault

/// Certificates from a real PKI mount.
@Suite struct CertificateTests {
    private let server: VaultServerProgram
    private let now = Int64(Date().timeIntervalSince1970)

    init() throws { server = try VaultServerProgram.shared.get() }

    /// Makes a mount with an issuing CA below the root of another mount, and a role. Returns the mount's name.
    private func mount(_ name: String, _ role: [String: Any] = [:]) throws -> String {
        let (root, mount) = ("\(name)-root", name)
        for one in [root, mount] {
            try server.set("sys/mounts/\(one)", ["type": "pki", "config": ["max_lease_ttl": "8760h"]])
        }
        try server.set(
            "\(root)/root/generate/internal", ["common_name": "\(name) root", "ttl": "8000h", "key_type": "ec"])
        let csr = try server.set(
            "\(mount)/intermediate/generate/internal", ["common_name": "\(name) CA", "key_type": "ec"])
        let signed = try server.set(
            "\(root)/root/sign-intermediate", ["csr": csr["csr"] ?? "", "common_name": "\(name) CA", "ttl": "4000h"])
        let chain = [signed["certificate"] as? String ?? "", signed["issuing_ca"] as? String ?? ""].joined(
            separator: "\n")
        try server.set("\(mount)/intermediate/set-signed", ["certificate": chain])
        let defaults: [String: Any] = [
            "allowed_domains": "a.test", "allow_subdomains": true, "max_ttl": "24h", "key_type": "any",
            "allowed_uri_sans": "spiffe://a.test/*",
        ]
        try server.set("\(mount)/roles/node", defaults.merging(role) { $1 })
        return mount
    }

    private func session(_ name: String, mayList: Bool = true) throws -> VaultSession {
        let list = mayList ? #"path "\#(name)/issuers" { capabilities = ["list", "read"] }"# : ""
        return try server.session(
            name, policy: #"path "\#(name)/sign/*" { capabilities = ["update"] } \#(list)"#)
    }

    private func order(
        _ mount: String, _ names: [String] = ["edge-1.a.test"], role: String = "node", seconds: Int64? = nil
    ) throws -> VaultCertificateOrder {
        try VaultCertificateOrder(
            mount: mount, role: role, commonName: names.first, alternatives: Array(names.dropFirst()), seconds: seconds)
    }

    @Test("A certificate is signed for a key made here, of either kind", arguments: [KeyAlgorithm.ecdsaP256, .rsa2048])
    func signs(_ algorithm: KeyAlgorithm) throws {
        let mount = try mount("signs-\(algorithm.rawValue)")
        let session = try session(mount)
        let key = try PrivateKey.generate(algorithm)
        let issued = try session.sign(
            order(mount, ["edge-1.a.test", "edge-2.a.test", "127.0.0.1", "spiffe://a.test/node/1"], seconds: 3600),
            key: key)
        #expect(issued.notes == [] && !issued.mayHaveOrphan)
        let leaf = issued.chain.leaf
        #expect(key.matches(leaf) && leaf.subjectCommonName == "edge-1.a.test")
        #expect(Set(leaf.names) == [.dns("edge-1.a.test"), .dns("edge-2.a.test"), .ip("127.0.0.1")])
        #expect(String(decoding: leaf.der, as: UTF8.self).contains("spiffe://a.test/node/1"))
        #expect(issued.chain.certificates.map(\.subject) == ["edge-1.a.test", "\(mount) CA"], "the root is left out")
        #expect(Set(issued.authorities.map(\.subject)) == ["\(mount) CA", "\(mount) root"])
        let due = issued.renewAt(jitter: 0)
        #expect((leaf.notBefore + 2300...now + 2500).contains(due))
    }

    @Test("A certificate may contain only a URI if the role allows it")
    func uriAlone() throws {
        let mount = try mount("uri", ["require_cn": false])
        let issued = try session(mount).sign(
            VaultCertificateOrder(
                mount: mount, role: "node", commonName: nil, alternatives: ["spiffe://a.test/node/1"]),
            key: .generate(.ecdsaP256))
        #expect(issued.chain.leaf.names.isEmpty && issued.chain.leaf.subjectCommonName == nil)
    }

    @Test("Names are right even if the role takes them from the call instead of the request")
    func namesOfCall() throws {
        let mount = try mount("call", ["use_csr_common_name": false, "use_csr_sans": false])
        let issued = try session(mount).sign(
            order(mount, ["edge-1.a.test", "127.0.0.1"], seconds: 60), key: .generate(.ecdsaP256))
        #expect(Set(issued.chain.leaf.names) == [.dns("edge-1.a.test"), .ip("127.0.0.1")])
        #expect(issued.notes == [])
    }

    @Test("A lifetime that Vault shortens causes a warning, and the certificate's own counts")
    func cut() throws {
        let mount = try mount("cut")
        let issued = try session(mount).sign(order(mount, seconds: 100 * 3600), key: .generate(.ecdsaP256))
        #expect(issued.notes.count == 1 && issued.notes[0].contains("longer than permitted maxTTL"))
        #expect(issued.chain.leaf.notAfter <= now + 24 * 3600 + 60)
    }

    @Test("A certificate that ends with the token causes a warning")
    func leased() throws {
        let mount = try mount("leased", ["generate_lease": true])
        let issued = try session(mount).sign(order(mount, seconds: 60), key: .generate(.ecdsaP256))
        #expect(
            issued.notes == [
                "Vault revokes the certificate when the token ends, since the role 'node' has generate_lease=true"
            ])
    }

    @Test("A certificate is revoked, and may be revoked twice")
    func revokes() throws {
        let mount = try mount("revokes")
        try server.set("\(mount)/roles/unstored", ["allow_any_name": true, "key_type": "any", "no_store": true])
        let session = try server.session(
            mount, policy: #"path "\#(mount)/sign/*" { capabilities = ["update"] }"#)
        let leaf = try session.sign(order(mount), key: .generate(.ecdsaP256)).chain.leaf
        let denied = #expect(throws: VaultError.self) { try session.revoke(leaf, ofMount: mount) }
        #expect(denied?.kind == .denied && denied?.hint?.hasPrefix("the token's policies must allow this") == true)
        let operators = VaultSession(try server.client(), login: VaultLogin(.token(secret("root"))), jitter: 0)
        for _ in 1...2 { try operators.revoke(leaf, ofMount: mount) }
        let list = try server.operate(.get, "\(mount)/certs/revoked?list=true").data["data"] as? [String: Any]
        let keys = (list?["keys"] as? [String] ?? []).map { $0.replacing(":", with: "").replacing("-", with: "") }
        #expect(keys.map { $0.drop { $0 == "0" } } == [leaf.serial.drop { $0 == "0" }])
        let unstored = try session.sign(order(mount, role: "unstored"), key: .generate(.ecdsaP256)).chain.leaf
        let unknown = #expect(throws: VaultError.self) { try operators.revoke(unstored, ofMount: mount) }
        #expect(unknown?.hint?.contains("no_store=true") == true, "\(unknown as Any)")
    }

    @Test("Refusals are reported with a hint")
    func refusals() throws {
        let mount = try mount("refusals", ["key_type": "rsa", "key_bits": 2048])
        let session = try session(mount)
        let (ec, rsa) = (try PrivateKey.generate(.ecdsaP256), try PrivateKey.generate(.rsa2048))
        func failure(_ order: VaultCertificateOrder, _ key: PrivateKey) throws -> VaultError {
            try #require(#expect(throws: VaultError.self) { try session.sign(order, key: key) })
        }
        let name = try failure(order(mount, ["edge.other.test"]), rsa)
        #expect(
            name.description == """
                Vault refuses to sign by the role 'node' of 'refusals' (HTTP 400): common name edge.other.test not allowed by \
                this role (the role must allow the name: allowed_domains, allow_subdomains, allow_ip_sans, allowed_uri_sans)
                """)
        #expect(!name.isTransient && !name.mayBeDone)
        let kind = try failure(order(mount), ec)
        #expect(kind.hint == "set the role's key_type to 'any', or ask for a key of that type", "\(kind)")
        let role = try failure(order(mount, role: "none"), rsa)
        #expect(role.hint == "the mount has no such role: is its name right?", "\(role)")
        // Vault checks policies before it looks for the mount. So only a token with all permissions can learn that the
        // mount does not exist.
        let root = VaultSession(try server.client(), login: VaultLogin(.token(secret("root"))), jitter: 0)
        let missing = #expect(throws: VaultError.self) { try root.sign(order("none"), key: rsa) }
        #expect(missing?.status == 404 && missing?.hint == "is the mount right, and does it need a 'namespace'?")
        let short = try mount_("short")
        let ends = #expect(throws: VaultError.self) { try root.sign(order(short, seconds: 48 * 3600), key: ec) }
        #expect(
            ends?.hint == "the issuer itself ends sooner: ask for a shorter ttl, or renew the issuer", "\(ends as Any)")
    }

    /// Makes a mount whose root expires in an hour.
    private func mount_(_ name: String) throws -> String {
        try server.set("sys/mounts/\(name)", ["type": "pki", "config": ["max_lease_ttl": "8760h"]])
        try server.set("\(name)/root/generate/internal", ["common_name": name, "ttl": "1h", "key_type": "ec"])
        try server.set("\(name)/roles/node", ["allow_any_name": true, "key_type": "any", "max_ttl": "100h"])
        return name
    }

    @Test("After a change of CA, both CAs are trusted")
    func bothAuthorities() throws {
        let mount = try mount("both")
        let session = try session(mount)
        let before = try #require(try session.authorities(ofMount: mount))
        #expect(Set(before.map(\.subject)) == ["both CA", "both root"])
        let other = try server.set(
            "\(mount)/root/generate/internal", ["common_name": "next CA", "key_type": "ec", "ttl": "3000h"])
        try server.set("\(mount)/root/replace", ["default": other["issuer_id"] ?? ""])
        let issued = try session.sign(order(mount), key: .generate(.ecdsaP256))
        #expect(issued.chain.certificates.count == 1 && issued.authorities.map(\.subject) == ["next CA"])
        let after = try #require(try session.authorities(ofMount: mount))
        #expect(Set(after.map(\.subject)) == ["both CA", "both root", "next CA"])
    }

    @Test(
        "Impossible names are reported before any request",
        arguments: ["a b.test", "spiffe://", "\u{FC}.test"])
    func badNames(_ name: String) {
        let error = #expect(throws: VaultError.self) { try order("pki", ["a.test", name]) }
        #expect(error?.kind == .settings)
    }
}
