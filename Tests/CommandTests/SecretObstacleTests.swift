import Foundation
import TestSupport
import Testing

/// Secrets and certificates that are on this machine and can't be used. A dry run reports each as an error at its place,
/// if an apply would fail, and else as a warning.
@Suite struct SecretObstacleTests {
    private static let key = String(repeating: "0123456789abcdef", count: 4)
    private static let zone = "0123456789abcdef0123456789abcdef"

    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        _ = try folder.file("broken", "hush-one\nhush-two\n")
        _ = try folder.file("empty", "\r\n")
        _ = try folder.file("large", String(repeating: "A", count: (1 << 20) + 1))
        _ = try folder.file("good", "hush\r\n")
        try FileManager.default.createDirectory(atPath: folder.path("directory"), withIntermediateDirectories: false)
        for name in ["good", "other"] {
            _ = try Tool.run(
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                folder.path("\(name).key"), "-out", folder.path("\(name).pem"), "-subj", "/CN=a", "-addext",
                "subjectAltName=DNS:a.test", "-days", "90")
        }
    }

    private func run(_ arguments: String..., environment: [String: String] = [:]) throws -> ApplyProgram.Outcome {
        try ApplyProgram.run(
            arguments, in: folder.path,
            environment: environment.merging(["AEGIS_SSL_KEY": Self.key]) { first, _ in first })
    }

    private func write(_ keys: String, host: String) throws {
        _ = try folder.file(
            "aegis.yaml",
            "version: 1\nstate: { path: state.db }\n\(keys)\nhosts:\n  - { domain: a.test, respond: {}, \(host) }\n")
    }

    /// The place of a text in the file, as line and column.
    private func place(of text: String) throws -> String {
        let lines = try String(contentsOfFile: folder.path("aegis.yaml"), encoding: .utf8).components(separatedBy: "\n")
        let line = try #require(lines.firstIndex { $0.contains(text) })
        let start = try #require(lines[line].range(of: text)).lowerBound
        return "\(line + 1):\(lines[line].distance(from: lines[line].startIndex, to: start) + 1)"
    }

    /// A use of a secret. `SECRET` stands for it.
    struct Use: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// The sections of the file, and the keys of the host that need the secret.
        let keys: String
        var host = "ssl_mode: custom, certificate: x"
        /// The secret's owner, as messages name it.
        let owner: String
        /// Whether a plan without the host still needs it.
        var isAlwaysNeeded = false
    }

    static let uses = [
        Use(
            testDescription: "a token of Cloudflare",
            keys: """
                issuers: { cf: { type: cloudflare_origin, api_token: SECRET, zone_id: \(zone), base_url: "https://localhost:1" } }
                certificates: { x: { issuer: cf, domains: [a.test] } }
                """, owner: "issuer 'cf'"),
        Use(
            testDescription: "a token for DNS",
            keys: """
                issuers:
                  ca:
                    type: acme
                    directory: "https://localhost:1/d"
                    challenge: dns-01
                    dns: { provider: webhook, url: "https://localhost:1/", token: SECRET }
                """, host: "ssl_mode: letsencrypt, issuer: ca", owner: "issuer 'ca'"),
        Use(
            testDescription: "a token for an edge certificate",
            keys: """
                edge_certificates:
                  - { name: e, zone_id: \(zone), hosts: [a.test], base_url: "https://localhost:1", api_token: SECRET }
                """, host: "ssl_mode: none", owner: "edge certificate 'e'", isAlwaysNeeded: true),
        Use(
            testDescription: "a token of a Vault",
            keys: """
                vaults: { main: { address: "https://localhost:1", auth: { method: token, token: SECRET } } }
                issuers: { v: { type: vault_pki, vault: main, role: web } }
                certificates: { x: { issuer: v, domains: [a.test] } }
                """, owner: "Vault 'main'"),
        Use(
            testDescription: "a secret for a login at a Vault",
            keys: """
                vaults: { m: { address: "https://localhost:1", auth: { method: approle, role_id: { file: good }, secret_id: SECRET } } }
                issuers: { v: { type: vault_pki, vault: m, role: web } }
                certificates: { x: { issuer: v, domains: [a.test] } }
                """, owner: "Vault 'm'"),
    ]

    /// A secret that can't be used, and the reason.
    static let faults = [
        ("{ file: broken }", "the secret has a line break or another control character in it (file broken)"),
        ("{ env: TABBED }", "the secret has a line break or another control character in it (env TABBED)"),
        ("{ file: empty }", "the secret is empty (file empty)"),
        ("{ env: BLANK }", "the secret is empty (env BLANK)"),
        ("{ file: large }", "'large' is larger than 1 MiB"),
        ("{ file: directory }", "cannot read 'directory': Is a directory"),
    ]

    @Test("A secret that can't be used is an error at its place", arguments: uses, faults)
    func unusableSecret(_ use: Use, _ fault: (secret: String, reason: String)) throws {
        let environment = ["TABBED": "hush-one\thush-two", "BLANK": " "]
        let keys = use.keys.replacing("SECRET", with: fault.secret)
        try write(keys, host: use.host)
        let plan = try run("--dry-run", environment: environment)
        #expect(plan.status == 3)
        let text = "aegis.yaml:\(try place(of: fault.secret)): error: \(use.owner): \(fault.reason)"
        #expect(plan.errors.contains(text), "\(plan.errors)")
        #expect(!plan.errors.contains("hush") && !plan.output.contains("hush"))
        // If the plan does not need the secret, there is only a warning.
        guard !use.isAlwaysNeeded else { return }
        try write(
            keys.split(separator: "\n").filter { !$0.hasPrefix("certificates:") }.joined(separator: "\n"),
            host: "ssl_mode: none")
        let other = try run("--dry-run", environment: environment)
        #expect(other.status == 0)
        #expect(other.errors.contains("warning: \(use.owner): \(fault.reason)"), "\(other.errors)")
    }

    @Test("An apply fails with the same reason, before it calls anybody", arguments: [uses[0], uses[2]])
    func apply(_ use: Use) throws {
        try write(use.keys.replacing("SECRET", with: "{ file: broken }"), host: use.host)
        let apply = try run()
        #expect(apply.status == 3)
        #expect(apply.errors.contains("the secret has a line break or another control character in it (file broken)"))
    }

    @Test("A secret with white space only at its ends is good", arguments: uses)
    func goodSecret(_ use: Use) throws {
        try write(use.keys.replacing("SECRET", with: "{ file: good }"), host: use.host)
        let plan = try run("--dry-run")
        #expect(plan.status == 0, "\(plan.errors)")
    }

    @Test("A webhook's token that can't be used is a warning, since no apply needs it")
    func webhook() throws {
        try write(
            "alerts: { webhook: { url: \"https://localhost:1\", token: { file: broken } } }", host: "ssl_mode: none")
        let plan = try run("--dry-run")
        #expect(plan.status == 0)
        #expect(
            plan.errors.contains(
                "aegis.yaml:\(try place(of: "{ file")): warning: the webhook for alerts: the secret has a line break"),
            "\(plan.errors)")
    }

    @Test("A CA file for Cloudflare that can't be used is an error, one for the webhook a warning")
    func authorities() throws {
        _ = try folder.file("garbage.pem", "this is no certificate\n")
        try write(
            """
            alerts: { webhook: { url: "https://localhost:1", ca_file: garbage.pem } }
            edge_certificates:
              - { name: e, zone_id: \(Self.zone), hosts: [a.test], api_token: { file: good }, ca_file: garbage.pem }
            """, host: "ssl_mode: none")
        let plan = try run("--dry-run")
        #expect(plan.status == 3)
        let reason = "the CAs in 'garbage.pem' can't be used: "
        #expect(plan.errors.contains("aegis.yaml:5:5: error: edge certificate 'e' can't be ordered: \(reason)"))
        #expect(plan.errors.contains("warning: the webhook for alerts can't be called: \(reason)"), "\(plan.errors)")
    }

    @Test("A MAC key may have line breaks, since it is decoded")
    func decodedKey() throws {
        _ = try folder.file("mac", "c2Vjcm\nV0LWtleQ==\n")
        try write(
            "issuers: { ca: { type: acme, directory: \"https://localhost:1/d\", eab: { kid: k, hmac_key: { file: mac } } } }",
            host: "ssl_mode: letsencrypt, issuer: ca")
        let plan = try run("--dry-run")
        #expect(plan.status == 0 || plan.errors.contains("base64"), "\(plan.errors)")
        #expect(!plan.errors.contains("line break"))
    }

    @Test(
        "A certificate or a key that is here and can't be read is an error",
        arguments: [
            ("large", "good.key", "'large' is larger than 1 MiB"),
            ("good.pem", "large", "'large' is larger than 1 MiB"),
            ("directory", "good.key", "cannot read 'directory': Is a directory"),
            ("good.pem", "directory", "cannot read 'directory': Is a directory"),
            // The certificate may be elsewhere, and the key is bad wherever that is.
            ("none.pem", "large", "'large' is larger than 1 MiB"),
        ])
    func unreadableCertificate(_ certificate: String, _ key: String, _ reason: String) throws {
        try write(
            "certificates: { x: { source: custom, cert: { file: \(certificate) }, key: { file: \(key) } } }",
            host: "ssl_mode: custom, certificate: x")
        let plan = try run("--dry-run")
        #expect(plan.status == 3)
        let bad = reason.contains("'\(key)'") ? key : certificate
        #expect(
            plan.errors.contains(
                "aegis.yaml:\(try place(of: "{ file: \(bad) }")): error: certificate 'x' will be refused: \(reason)"),
            "\(plan.errors)")
        let apply = try run()
        #expect(apply.status == 3)
        #expect(apply.errors.contains(reason) || apply.errors.contains("none.pem"), "\(apply.errors)")
    }

    @Test("A missing certificate is a warning, and a new key that is too large is an error beside a stored certificate")
    func replacedCertificate() throws {
        let custom = "certificates: { x: { source: custom, cert: { file: C.pem }, key: { file: K } } }"
        try write(
            custom.replacing("C.pem", with: "good.pem").replacing("K", with: "good.key"),
            host: "ssl_mode: custom, certificate: x")
        #expect(try run().status == 0)
        try write(
            custom.replacing("C.pem", with: "none.pem").replacing("K", with: "good.key"),
            host: "ssl_mode: custom, certificate: x")
        #expect(try run("--dry-run").errors.contains("hint: what is stored stays"))
        try write(
            custom.replacing("C.pem", with: "other.pem").replacing("K", with: "large"),
            host: "ssl_mode: custom, certificate: x")
        let plan = try run("--dry-run")
        #expect(plan.status == 3)
        #expect(plan.errors.contains("error: certificate 'x' will be refused: 'large' is larger than 1 MiB"))
        #expect(try run().status == 3)
    }

    @Test("An encryption key's file that is a directory or too large is an error", arguments: ["directory", "large"])
    func encryptionKey(_ file: String) throws {
        try write("encryption: { key: { file: \(file) } }", host: "ssl_mode: none")
        let plan = try run("--dry-run")
        #expect(plan.status == 3)
        #expect(
            plan.errors.contains("aegis.yaml:\(try place(of: "{ file")): error: the encryption key: "), "\(plan.errors)"
        )
        #expect(try run().status == 1)
    }
}
