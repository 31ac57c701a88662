import Foundation
import PKI
import SQLiteState
import TestSupport
import Testing

/// Faults that certainly make an apply fail. The dry run reports each as an error with a place and a hint.
@Suite struct ObstacleTests {
    private static let key = String(repeating: "0123456789abcdef", count: 4)
    private static let local = """
        version: 1
        state: { path: state/state.db }
        gateway: { cache_dir: cache }
        issuers:
          lan: { type: local_ca }
        certificates: { x: { issuer: lan, domains: [a.internal] } }
        hosts:
          - { domain: a.internal, respond: {}, ssl_mode: custom, certificate: x }

        """

    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func write(_ text: String) throws { _ = try folder.file("aegis.yaml", text) }

    private func run(_ arguments: String..., environment: [String: String] = ["AEGIS_SSL_KEY": key]) throws
        -> ApplyProgram.Outcome
    {
        try ApplyProgram.run(arguments, in: folder.path, environment: environment)
    }

    /// A file with an ACME issuer that issues for a host. `keys` are added to the issuer.
    private static func acme(_ keys: String, host: String = "ssl_mode: letsencrypt, issuer: ca") -> String {
        """
        version: 1
        state: { path: state.db }
        issuers:
          ca: { type: acme, directory: "https://localhost:1/dir", \(keys) }
        hosts:
          - { domain: a.test, respond: {}, \(host) }

        """
    }

    private static func upstream(_ caFile: String) -> String {
        """
        version: 1
        state: { path: state.db }
        hosts:
          - { domain: a.test, upstreams: ["https://127.0.0.1:1"], upstream_tls: { ca_file: \(caFile) } }
          - { domain: b.test, respond: {} }

        """
    }

    // MARK: The key

    @Test("A dry run reports a missing encryption key, but nothing if the key is in the state")
    func key() throws {
        try write(Self.local)
        #expect(try run().status == 0)
        let plan = try run("--dry-run", environment: [:])
        #expect(plan.status == 3)
        #expect(plan.errors.contains("error: the state is sealed with the encryption key "), "\(plan.errors)")
        #expect(plan.errors.contains(", and no key is given\nhint: set AEGIS_SSL_KEY to that key, or encryption.key"))
        #expect(!plan.errors.contains("lies in the state") && !plan.errors.contains("rekey"))
        let apply = try run(environment: [:])
        #expect(apply.status == 1)
        #expect(!apply.errors.contains("lies in the state") && !apply.errors.contains("rekey"), "\(apply.errors)")
        // A machine that only plans has no keys. The file says where the key is.
        try write(Self.local + "encryption: { key: { env: HUSH } }\n")
        #expect(try run("--dry-run", environment: [:]).status == 0)
    }

    @Test(
        "A secret that is missing here causes a warning, which --strict counts",
        arguments: [
            ("encryption: { key: { file: nokey } }", "the encryption key: cannot read 'nokey': No such file"),
            ("encryption: { key: { env: UNSET } }", "the encryption key: the variable UNSET is not set"),
            (
                "issuers: { ca: { type: acme, directory: \"https://localhost:1/d\", eab: { kid: k, hmac_key: { env: UNSET } } } }",
                "issuer 'ca': the variable UNSET is not set"
            ),
            (
                """
                issuers:
                  ca:
                    type: acme
                    directory: "https://localhost:1/d"
                    challenge: dns-01
                    dns: { provider: webhook, url: "https://localhost:1/", token: { file: token } }
                """, "issuer 'ca': cannot read 'token': No such file"
            ),
            (
                """
                issuers:
                  cf: { type: cloudflare_origin, api_token: { env: UNSET }, zone_id: 0123456789abcdef0123456789abcdef }
                """, "issuer 'cf': the variable UNSET is not set"
            ),
            (
                """
                edge_certificates:
                  - { name: edge, zone_id: 0123456789abcdef0123456789abcdef, api_token: { file: token }, hosts: [a.test] }
                """, "edge certificate 'edge': cannot read 'token': No such file"
            ),
        ])
    func missingSecret(_ keys: String, _ words: String) throws {
        try write("version: 1\nstate: { path: state.db }\nhosts: [{ domain: a.test, respond: {} }]\n\(keys)\n")
        let environment = keys.contains("encryption") ? [:] : ["AEGIS_SSL_KEY": Self.key]
        let plan = try run("--dry-run", environment: environment)
        #expect(plan.status == 0)
        #expect(plan.errors.contains("warning: \(words)"), "\(plan.errors)")
        #expect(plan.errors.contains("hint: a dry run needs no secret; "))
        #expect(plan.output.contains("! aegis.yaml:") && plan.output.contains(words), "\(plan.output)")
        let strict = try run("--dry-run", "--strict", "--format", "json", environment: environment)
        #expect(strict.status == 3)
        #expect(strict.output.contains(words), "\(strict.output)")
        // If the secrets exist, there is no warning.
        _ = try folder.file("token", "hush\n")
        _ = try folder.file("nokey", Self.key)
        let whole = try run(
            "--dry-run", "--strict", environment: environment.merging(["UNSET": Self.key]) { $1 })
        #expect(whole.status == 0, "\(whole.errors)")
    }

    @Test("A key in the state causes a warning, and no other key is needed")
    func storedKey() throws {
        try write(Self.local)
        #expect(try run(environment: [:]).status == 0)
        let plan = try run("--dry-run", environment: [:])
        #expect(plan.status == 0)
        #expect(plan.errors.contains("the encryption key lies in the state"))
    }

    // MARK: Folders

    @Test(
        "A dry run reports a state folder that is a file or not writable", arguments: ["state", "state/state.db"])
    func stateFolder(_ occupied: String) throws {
        try write(Self.local.replacing("path: state/state.db", with: "path: \(occupied)/deep/state.db"))
        if occupied != "state" {
            try FileManager.default.createDirectory(
                atPath: folder.path("state"), withIntermediateDirectories: false)
        }
        _ = try folder.file(occupied, "")
        let plan = try run("--dry-run")
        #expect(plan.status == 3)
        #expect(
            plan.errors.contains(
                "error: the state './\(occupied)/deep/state.db' can't be written: './\(occupied)' is no directory"),
            "\(plan.errors)")
        #expect(plan.errors.contains("hint: state.path says where it is"))
        #expect(try run().status == 1)
    }

    @Test("A dry run reports a state folder in which not even root can write", arguments: ["/proc/x", "/sys", "/proc"])
    func kernelFolder(_ folder: String) throws {
        try write(Self.local.replacing("path: state/state.db", with: "path: \(folder)/state.db"))
        let plan = try run("--dry-run")
        #expect(plan.status == 3)
        #expect(
            plan.errors.contains(
                "error: the state '\(folder)/state.db' can't be written: nothing can be written in '/"),
            "\(plan.errors)")
        #expect(try run().status == 1)
    }

    @Test("A dry run reports a state folder of another user, and one that others can read")
    func rights() throws {
        try write(Self.local.replacing("state/state.db", with: "state.db"))
        let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        let plan = try ApplyProgram.run(
            ["--dry-run"], in: folder.path, environment: ["AEGIS_SSL_KEY": Self.key], under: nobody)
        #expect(plan.status == 3)
        #expect(plan.errors.contains("can't be written: nothing can be written in '.': "), "\(plan.errors)")
        #expect(
            plan.errors.contains("aegis.yaml:5:3: error: issuer 'lan' will issue nothing: the local CA in './cache': "))
        #expect(try run().status == 0)
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: folder.path("state.db"))
        try write(Self.local.replacing("state/state.db", with: "state.db").replacing("{}", with: "{ body: x }"))
        let wide = try run("--dry-run")
        #expect(wide.status == 3)
        #expect(
            wide.errors.contains("error: the state './state.db' is refused: others can read or write it"),
            "\(wide.errors)")
        #expect(try run().status == 1)
    }

    @Test("A cache directory that is a file is an error if the local CA must issue, else a warning")
    func cacheDirectory() throws {
        try write(Self.local)
        _ = try folder.file("cache", "")
        let plan = try run("--dry-run")
        #expect(plan.status == 3)
        let text =
            "aegis.yaml:5:3: error: issuer 'lan' will issue nothing: the local CA in './cache': './cache' is no directory"
        #expect(plan.errors.contains(text), "\(plan.errors)")
        #expect(try run().status == 3)
        try write(
            "version: 1\nstate: { path: state.db }\ngateway: { cache_dir: cache }\nhosts: [{ domain: a.test, respond: {} }]"
        )
        let other = try run("--dry-run")
        #expect(other.status == 0)
        #expect(
            other.errors.contains("warning: the local CA in './cache': './cache' is no directory"), "\(other.errors)")
        #expect(try run().status == 0)
    }

    @Test("A dry run reports a local CA without its key")
    func localAuthority() throws {
        try write(Self.local)
        #expect(try run().status == 0)
        try FileManager.default.removeItem(atPath: folder.path("cache/aegis-local-ca.key"))
        try write(Self.local.replacing("[a.internal]", with: "[a.internal, b.internal]"))
        let plan = try run("--dry-run")
        #expect(plan.status == 3)
        #expect(
            plan.errors.contains("issuer 'lan' will issue nothing: './cache/aegis-local-ca.crt' is there, but its key"))
        #expect(try run().status == 3)
    }

    // MARK: Issuers

    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String { keys }
        let keys: String
        let reason: String
        var environment: [String: String] = [:]
    }

    @Test(
        "A dry run reports unusable secrets of an issuer",
        arguments: [
            Case(
                keys: "ca_file: none.pem", reason: "the CAs to trust: cannot read 'none.pem': No such file or directory"
            ),
            Case(keys: "ca_file: garbage.pem", reason: "the CAs in 'garbage.pem' can't be used: "),
            Case(keys: "ca_file: .", reason: "the CAs to trust: cannot read '.': "),
            Case(
                keys: "eab: { kid: k, hmac_key: { env: MAC } }", reason: "(env MAC)",
                environment: ["MAC": "no, not this"]),
            Case(
                keys: """
                    challenge: dns-01, dns: { provider: rfc2136, server: "127.0.0.1:1", zone: test, \
                    tsig: { name: k, algorithm: hmac-sha256, secret: { env: MAC } } }
                    """,
                reason: "the secret of the TSIG key 'k' is not base64 (env MAC)", environment: ["MAC": "no, not this"]),
        ])
    func issuer(_ example: Case) throws {
        _ = try folder.file("garbage.pem", "this is no certificate\n")
        try write(Self.acme(example.keys))
        let environment = example.environment.merging(["AEGIS_SSL_KEY": Self.key]) { $1 }
        let plan = try run("--dry-run", environment: environment)
        #expect(plan.status == 3)
        #expect(plan.errors.contains("aegis.yaml:4:3: error: issuer 'ca' will issue nothing: "), "\(plan.errors)")
        #expect(plan.errors.contains(example.reason), "\(plan.errors)")
        #expect(!plan.errors.contains("not this"))
        // If the plan does not need the issuer, there is only a warning.
        try write(Self.acme(example.keys, host: "ssl_mode: none"))
        let other = try run("--dry-run", environment: environment)
        #expect(other.status == 0)
        #expect(other.errors.contains("aegis.yaml:4:3: warning: issuer 'ca': "), "\(other.errors)")
    }

    @Test("A MAC key that is missing here, or good, is no obstacle", arguments: [[:], ["MAC": "c2VjcmV0LWtleQ"]])
    func goodKey(_ environment: [String: String]) throws {
        try write(Self.acme("eab: { kid: k, hmac_key: { env: MAC } }"))
        let plan = try run("--dry-run", environment: environment.merging(["AEGIS_SSL_KEY": Self.key]) { $1 })
        #expect(plan.status == 0, "\(plan.errors)")
    }

    // MARK: Upstreams

    @Test("Plan and apply refuse a host with a garbled ca_file, and accept the others")
    func upstreamTrust() throws {
        _ = try folder.file("garbage.pem", "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n")
        try write(Self.upstream("garbage.pem"))
        let plan = try run("--dry-run")
        #expect(plan.status == 3)
        let text = "aegis.yaml:4:5: error: host 'a.test' will be refused: the CAs in 'garbage.pem' can't be used: "
        #expect(plan.errors.contains(text), "\(plan.errors)")
        let apply = try run()
        #expect(apply.status == 3)
        #expect(
            apply.errors.contains("host a.test: create failed: the CAs in 'garbage.pem' can't be used: "),
            "\(apply.errors)")
        #expect(apply.output.contains("1 failed"))
        let store = try #require(try SQLiteStateStore(readingFrom: folder.path("state.db")))
        #expect(try store.snapshot().items.keys.filter { $0.kind == .host }.map(\.name) == ["b.test"])
    }

    @Test("A ca_file missing here may exist where the gateway runs: a warning, which --strict counts")
    func missingTrust() throws {
        try write(Self.upstream("none.pem"))
        let plan = try run("--dry-run")
        #expect(plan.status == 0)
        #expect(
            plan.errors.contains("aegis.yaml:4:5: warning: host 'a.test': the CAs to trust: cannot read 'none.pem'"))
        #expect(try run("--dry-run", "--strict").status == 3)
        let apply = try run()
        #expect(apply.status == 0)
        #expect(apply.errors.contains("warning: host 'a.test': the CAs to trust: cannot read 'none.pem'"))
    }

    // MARK: Clients

    /// A file with a host that verifies its clients. `keys` are those of `client_auth`.
    private static func clients(_ keys: String) -> String {
        local.replacing("certificate: x }", with: "certificate: x, client_auth: { \(keys) } }")
    }

    @Test(
        "A host with a garbled client CA file or revocation list is refused",
        arguments: [
            ("ca_file: garbage.pem", "the CAs in 'garbage.pem' can't be used: "),
            ("ca_file: good.pem, crl_files: [good.crl, garbage.pem]", "the revocation lists in 'garbage.pem' can't be"),
            ("ca_file: good.pem, crl_files: [good.pem]", "the revocation lists in 'good.pem' can't be used: "),
            ("ca_file: good.pem, crl_files: [.]", "the revocation lists to trust: cannot read '.': "),
            ("ca_file: twin.pem, crl_files: [good.crl]", "the revocation lists don't fit the CAs in 'twin.pem': "),
        ])
    func clientTrust(keys: String, reason: String) throws {
        try makeTrust()
        try write(Self.clients(keys))
        let plan = try run("--dry-run")
        #expect(plan.status == 3)
        #expect(
            plan.errors.contains("aegis.yaml:8:5: error: host 'a.internal' will be refused: \(reason)"),
            "\(plan.errors)")
        let apply = try run()
        #expect(apply.status == 3)
        #expect(apply.errors.contains("host a.internal: create failed: \(reason)"), "\(apply.errors)")
    }

    @Test("Good client CAs and lists cause no warning, and missing files cause only a warning")
    func goodAndMissingTrust() throws {
        try makeTrust()
        try write(Self.clients("ca_file: good.pem, crl_files: [good.crl, good.der]"))
        let good = try run("--dry-run")
        #expect(good.status == 0 && !good.errors.contains("client"), "\(good.errors)")
        try write(Self.clients("ca_file: none.pem, crl_files: [none.crl]"))
        let missing = try run("--dry-run")
        #expect(missing.status == 0)
        for reason in [
            "the CAs to trust: cannot read 'none.pem'", "the revocation lists to trust: cannot read 'none.crl'",
        ] {
            #expect(
                missing.errors.contains("aegis.yaml:8:5: warning: host 'a.internal': \(reason)"), "\(missing.errors)")
        }
        #expect(missing.errors.contains("until it has it, this host is not served"))
    }

    /// Makes a CA, its revocation list in PEM and in DER, and a file that is neither.
    private func makeTrust() throws {
        _ = try folder.file("garbage.pem", "this is no certificate\n")
        _ = try folder.file("index.txt", "")
        _ = try folder.file(
            "ca.cnf",
            "[ca]\ndefault_ca=d\n[d]\ndatabase=\(folder.path("index.txt"))\ndefault_md=sha256\ndefault_crl_days=9\n")
        let key = folder.path("good.key")
        // Makes two CAs with the same name.
        for name in ["twin", "good"] {
            _ = try Tool.run(
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                folder.path("\(name).key"), "-out", folder.path("\(name).pem"), "-subj", "/CN=Clients", "-days", "9",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        }
        _ = try Tool.run(
            "openssl", "ca", "-config", folder.path("ca.cnf"), "-gencrl", "-keyfile", key, "-cert",
            folder.path("good.pem"), "-out", folder.path("good.crl"))
        _ = try Tool.run(
            "openssl", "crl", "-in", folder.path("good.crl"), "-outform", "DER", "-out", folder.path("good.der"))
    }
}
