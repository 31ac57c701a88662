import Foundation
import PKI
import TestSupport
import Testing

/// Where keys are stored: sealed in the state, in an export on request, and nowhere else.
extension ApplyTests {
    @Test("A private key is exported only on request, for the owner alone")
    func export() throws {
        try makeOwn()
        try write(Self.twoHosts)
        #expect(try apply().status == 0)
        #expect(try apply("certificates", "export", "own", "--out", "a.pem").status == 0)
        #expect(try !String(contentsOfFile: folder.path("a.pem"), encoding: .utf8).contains("PRIVATE"))
        #expect(try apply("certificates", "export", "own", "--out", "b.pem", "--with-key").status == 0)
        let mode = try FileManager.default.attributesOfItem(atPath: folder.path("b.pem"))[.posixPermissions] as? Int
        #expect(mode == 0o600)
        let exported = try Tool.run("openssl", "pkey", "-in", folder.path("b.pem"), "-pubout").output
        #expect(try exported == Tool.run("openssl", "pkey", "-in", folder.path("own.key"), "-pubout").output)
        let shown = try apply("certificates", "export", "own", "--out", "-")
        #expect(shown.output.hasPrefix("-----BEGIN CERTIFICATE-----") && !shown.output.contains("PRIVATE"))
        #expect(try apply("certificates", "export", "own", "--out", "-", "--with-key").output.contains("PRIVATE"))
        let command = "cd '\(folder.path)' && '\(ApplyProgram.path)' certificates export own --out - --with-key"
        let terminal = try Tool.run(
            "script", "-qec", "AEGIS_SSL_KEY=\(Self.key); export AEGIS_SSL_KEY; \(command)", "/dev/null")
        #expect(terminal.output.contains("a private key is not shown on a terminal"))
        #expect(!terminal.output.contains("PRIVATE"))
        let unknown = try apply("certificates", "export", "onw", "--out", "c.pem")
        #expect(unknown.status == 1)
        #expect(unknown.errors.hasSuffix("hint: did you mean 'own'?\n"))
    }
    @Test("A wrong key is reported, and rekey seals everything under a new key")
    func rekeying() throws {
        try makeOwn()
        try write(Self.twoHosts)
        #expect(try apply(key: nil).errors.contains("a new encryption key is kept in the state"))
        let newKey = String(repeating: "ab", count: 32)
        let wrong = try apply("certificates", "export", "own", "--out", "x.pem", "--with-key", key: newKey)
        #expect(wrong.status == 1)
        #expect(wrong.errors.contains("sealed with another encryption key"))
        #expect(wrong.errors.contains("certificate 'own'"))
        let rekeyed = try apply("rekey", "--new-key-env", "AEGIS_SSL_KEY", key: newKey)
        #expect(rekeyed.output.hasPrefix("Sealed 3 again"), "\(rekeyed.errors)")
        #expect(try apply("rekey", "--new-key-env", "AEGIS_SSL_KEY", key: newKey).output.hasPrefix("Sealed 0 again"))
        #expect(try sql("SELECT count(*) FROM settings WHERE name = 'master_key'") == "0\n")
        #expect(try apply("certificates", "export", "own", "--out", "x.pem", "--with-key", key: newKey).status == 0)
        #expect(try apply(key: newKey).output.hasPrefix("No changes"))
        try write(Self.twoHosts + "\n  - { domain: c.example.com, respond: {} }")
        #expect(try apply(key: Self.key).status == 1)
        #expect(try apply(key: "zz").errors.contains("64 hex digits"))
    }

    @Test("Ciphertexts swapped between rows are refused by name")
    func swappedKeys() throws {
        try makeOwn()
        try write(Self.twoHosts)
        #expect(try apply().status == 0)
        _ = try sql(
            """
            CREATE TEMP TABLE before AS SELECT name, sealed_key FROM certificates;
            UPDATE certificates SET sealed_key = (SELECT sealed_key FROM before WHERE before.name <> certificates.name)
            """)
        let idle = try apply()
        #expect(idle.status == 3)
        for name in ["own", "web"] {
            #expect(idle.errors.contains("certificate '\(name)' can't be served: the sealed bytes"))
        }
        let swapped = try apply("certificates", "export", "own", "--out", "x.pem", "--with-key")
        #expect(swapped.status == 1)
        #expect(
            swapped.errors
                == "aegis-apply: the key of certificate 'own': the sealed bytes are damaged, or were moved here from another place\n"
        )
        let rekeyed = try apply("rekey", "--new-key-env", "NEW_KEY", "--old-key-env", "AEGIS_SSL_KEY")
        #expect(rekeyed.status == 1)
    }

    struct Tampering: Sendable, CustomStringConvertible {
        let description: String
        let sql: String
        var isSealedByEarlierVersion = false
    }

    @Test(
        "A chain or key of another certificate, or an older one, is found before a handshake needs it",
        arguments: [
            Tampering(
                description: "chains swapped", sql: "chain = (SELECT chain FROM b WHERE b.name <> certificates.name)"),
            Tampering(
                description: "all but keys swapped",
                sql: "(chain, fingerprint) = (SELECT chain, fingerprint FROM b WHERE b.name <> certificates.name)"),
            Tampering(
                description: "the same, in a state of an earlier version",
                sql: "(chain, fingerprint) = (SELECT chain, fingerprint FROM b WHERE b.name <> certificates.name)",
                isSealedByEarlierVersion: true),
            Tampering(
                description: "earlier keys", sql: "sealed_key = (SELECT old FROM b WHERE b.name = certificates.name)"),
        ])
    func tampering(_ sample: Tampering) throws {
        try makeOwn()
        try write(Self.twoHosts)
        #expect(try apply().status == 0)
        _ = try sql("CREATE TABLE b AS SELECT name, chain, fingerprint, sealed_key AS old FROM certificates")
        // New certificates for the same names.
        try makeOwn()
        try FileManager.default.removeItem(atPath: folder.path("cache"))
        #expect(try apply().output.hasSuffix("1 issued, 1 uploaded.\n"))
        if sample.isSealedByEarlierVersion { try sealAsEarlierVersions() }
        _ = try sql(
            "UPDATE b SET (chain, fingerprint) = (SELECT chain, fingerprint FROM certificates c WHERE c.name = b.name)")
        #expect(try apply().output.hasPrefix("No changes"))
        _ = try sql("UPDATE certificates SET \(sample.sql)")
        let idle = try apply()
        #expect(idle.status == 3)
        for name in ["own", "web"] {
            #expect(idle.errors.contains("certificate '\(name)' can't be served: "), "\(idle.errors)")
        }
        #expect(try apply("certificates", "export", "own", "--out", "x.pem", "--with-key").status == 1)
        #expect(
            try apply("rekey", "--new-key-env", "AEGIS_SSL_KEY").status == (sample.isSealedByEarlierVersion ? 1 : 0))
    }

    @Test("Keys sealed by an earlier version still work, and rekey binds them to their leaves")
    func earlierSeals() throws {
        try makeOwn()
        try write(Self.twoHosts)
        #expect(try apply().status == 0)
        try sealAsEarlierVersions()
        #expect(try apply().output.hasPrefix("No changes"))
        #expect(try apply("certificates", "export", "own", "--out", "x.pem", "--with-key").status == 0)
        #expect(try apply("rekey", "--new-key-env", "AEGIS_SSL_KEY").output.hasPrefix("Sealed 2 again"))
        #expect(try sql("SELECT DISTINCT hex(substr(sealed_key, 1, 1)) FROM certificates") == "02\n")
        #expect(try apply("rekey", "--new-key-env", "AEGIS_SSL_KEY").output.hasPrefix("Sealed 0 again"))
        #expect(try apply().output.hasPrefix("No changes"))
    }

    /// Seals the keys in the state as earlier versions did: bound to the row, but not to the leaf.
    private func sealAsEarlierVersions() throws {
        let sealer = Sealer(key: try MasterKey(hex: Self.key))
        let rows = try sql("SELECT name, fingerprint, hex(sealed_key) FROM certificates").split(separator: "\n")
        for row in rows.map({ $0.split(separator: "|").map(String.init) }) {
            let digits = Array(row[2])
            let sealed = stride(from: 0, to: digits.count, by: 2).compactMap {
                UInt8(String(digits[$0...($0 + 1)]), radix: 16)
            }
            let key = try sealer.open(sealed, purpose: "certificate key", row: row[0], partner: row[1])
            let earlier = try sealer.seal(key, purpose: "certificate key", row: row[0])
            let text = earlier.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
            _ = try sql("UPDATE certificates SET sealed_key = x'\(text)' WHERE name = '\(row[0])'")
        }
    }

    @Test("With many keys of an earlier version, only the first hundred are compared")
    func manyEarlierSeals() throws {
        try makeOwn()
        let lines = (1000..<1101).map {
            "  c\($0): { source: custom, cert: { file: own.pem }, key: { file: own.key } }\n"
        }
        try write(
            "version: 1\nstate: { path: state/state.db }\ngateway: { cache_dir: cache }\ncertificates:\n"
                + lines.joined())
        #expect(try apply().status == 0)
        try sealAsEarlierVersions()
        let another = try Tool.data(
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=x")
        let pem = String(decoding: another, as: UTF8.self)
        let leaf = try CertificateChain(pem: Array(another)).leaf.fingerprint
        _ = try sql(
            "UPDATE certificates SET chain = CAST('\(pem)' AS BLOB), fingerprint = '\(leaf)' WHERE name IN ('c1099', 'c1100')"
        )
        let idle = try apply()
        #expect(idle.errors.contains("certificate 'c1099' can't be served: the private key does not belong to"))
        #expect(!idle.errors.contains("c1100"))
    }

    @Test("A state without its settings does not get a new key")
    func lostSettings() throws {
        try makeOwn()
        try write(Self.twoHosts)
        #expect(try apply().status == 0)
        for loss in ["DELETE FROM settings", "DELETE FROM certificates"] {
            _ = try sql(loss)
            for arguments in [[], ["certificates", "export", "own", "--out", "x.pem", "--with-key"]] {
                let before = try sql("SELECT revision FROM position")
                let refused = try ApplyProgram.run(arguments, in: folder.path)
                #expect(refused.status == 1)
                #expect(try sql("SELECT revision FROM position") == before)
                guard arguments.isEmpty else { continue }
                #expect(refused.errors.contains("the state is sealed with the encryption key"), "\(refused.errors)")
            }
            #expect(try apply(key: String(repeating: "ab", count: 32)).errors.contains("sealed with another"))
        }
        // With the right key, the apply succeeds.
        #expect(try apply().status == 0)
        #expect(try sql("SELECT name FROM settings") == "sealing_key_id\n")
    }

    @Test("A wrong or missing key is reported even if nothing changes")
    func wrongKeyWithoutChanges() throws {
        try makeOwn()
        try write(Self.twoHosts)
        #expect(try apply().status == 0)
        let wrong = try apply(key: String(repeating: "ab", count: 32))
        #expect(wrong.status == 1)
        #expect(wrong.errors.contains("sealed with another encryption key"))
        let none = try apply(key: nil)
        #expect(none.status == 1)
        #expect(none.errors.contains("and no key is given"))
    }

    @Test("No key, token or text of the file can be read in the database or in any output")
    func canaries() throws {
        try makeOwn()
        let canary = "Canary-7391-hush"
        try write(
            Self.twoHosts.replacing(
                "issuers: { lan: { type: local_ca } }",
                with: "issuers: { lan: { type: local_ca }, cf: { type: cloudflare_origin, api_token: \(canary) } }"))
        var outputs = ""
        for arguments in [
            ["--dry-run"], ["--dry-run", "--format", "json"], [], ["status"], ["history"], ["certificates"],
        ] {
            let outcome = try ApplyProgram.run(arguments, in: folder.path, environment: ["AEGIS_SSL_KEY": Self.key])
            outputs += outcome.output + outcome.errors
        }
        let database = try Data(contentsOf: URL(fileURLWithPath: folder.path("state/state.db")))
        let der = try Tool.data("openssl", "pkey", "-in", folder.path("own.key"), "-outform", "DER")
        #expect(database.range(of: Data(canary.utf8)) == nil)
        #expect(database.range(of: Data(Self.key.utf8)) == nil)
        // Searches for the private number itself, in whatever form the key may have been written.
        #expect(database.range(of: der.suffix(from: der.startIndex + 36).prefix(32)) == nil)
        #expect(!outputs.contains(canary))
        #expect(!outputs.contains(Self.key))
        #expect(!outputs.contains("PRIVATE"))
    }

    @Test("No file ever has a mode wider than 0600", .enabled(if: !ApplyProgram.isSanitized))
    func modes() throws {
        try makeOwn()
        try write(Self.twoHosts)
        let trace = folder.path("trace")
        let outcome = try ApplyProgram.run(
            [], in: folder.path, environment: ["AEGIS_SSL_KEY": Self.key],
            under: [
                "strace", "-f", "-o", trace, "-e", "trace=open,openat,creat,mkdir,mkdirat,chmod,fchmod,fchmodat,umask",
            ])
        #expect(outcome.status == 0)
        let lines = try String(contentsOfFile: trace, encoding: .utf8).split(separator: "\n")
        let mask = try #require(lines.firstIndex { $0.contains("umask(077)") })
        let creating = lines.indices.filter { line in
            ["O_CREAT", "O_TMPFILE", "mkdir"].contains { lines[line].contains($0) }
        }
        #expect(creating.count > 8)
        // The mask is set before the first file is created, since SQLite opens files with mode 0644.
        #expect(creating.allSatisfy { $0 > mask })
        let first = try #require(creating.first { lines[$0].contains("state.db.new\"") })
        #expect(lines[first].contains(", 0600)"))
        #expect(!lines.contains { $0.contains("chmod") })
    }
}
