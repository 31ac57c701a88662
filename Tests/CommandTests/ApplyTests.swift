import Foundation
import PKI
import TestSupport
import Testing

/// Runs real applies with real files and a real database. OpenSSL's command line verifies the results.
@Suite struct ApplyTests {
    let folder: TemporaryFolder
    static let key = String(repeating: "0123456789abcdef", count: 4)

    init() throws { folder = try TemporaryFolder() }

    static let twoHosts = """
        version: 1
        gateway: { cache_dir: cache }
        state: { path: state/state.db }
        issuers: { lan: { type: local_ca } }
        certificates:
          web: { issuer: lan, domains: [www.example.com, "*.example.org"] }
          own: { source: custom, cert: { file: own.pem }, key: { file: own.key } }
        hosts:
          - { domain: www.example.com, respond: {}, ssl_mode: custom, certificate: web }
          - { domain: own.example.com, respond: {}, ssl_mode: custom, certificate: own }
        """

    func write(_ text: String) throws { _ = try folder.file("aegis.yaml", text) }

    func apply(_ arguments: String..., key: String? = Self.key) throws -> ApplyProgram.Outcome {
        try ApplyProgram.run(
            arguments, in: folder.path, environment: key.map { ["AEGIS_SSL_KEY": $0] } ?? [:])
    }

    /// Makes a self-signed certificate that expires in this many days.
    func makeOwn(_ name: String = "own", host: String = "own.example.com", days: Int64 = 90) throws {
        let start = Int64(Date().timeIntervalSince1970) - 30 * 86_400
        let key = try PrivateKey.generate(.ecdsaP256)
        let authority = try CertificateAuthority.makeRoot(commonName: "Test CA", now: start)
        let leaf = try authority.issue(
            for: key, names: [.dns(host)], now: start, lifetimeSeconds: (days + 30) * 86_400)
        _ = try folder.file("\(name).pem", leaf.pem + authority.certificate.pem)
        let text = try key.pem().plainCopy()
        _ = try folder.file("\(name).key", String(decoding: text, as: UTF8.self))
    }

    func sql(_ query: String) throws -> String {
        try Tool.run("sqlite3", folder.path("state/state.db"), query).output
    }

    @Test("A first apply puts everything in force, and a second changes and writes nothing")
    func applyTwice() throws {
        try makeOwn()
        try write(Self.twoHosts)
        let first = try apply()
        #expect(first.status == 0, "\(first.errors)")
        #expect(first.output.hasSuffix("Applied generation 1: 4 created, 1 issued, 1 uploaded.\n"))
        let before = try Data(contentsOf: URL(fileURLWithPath: folder.path("state/state.db")))
        let second = try apply()
        #expect(second.output == "No changes: the state is what the file says.\n")
        #expect(second.status == 0)
        #expect(try Data(contentsOf: URL(fileURLWithPath: folder.path("state/state.db"))) == before)
        #expect(try apply("--dry-run", "--detailed-exitcode").status == 0)
    }

    @Test("A certificate that can't be obtained does not stop the others, and a rerun continues")
    func partialFailure() throws {
        try write(Self.twoHosts)
        let failing = try apply()
        #expect(failing.status == 3)
        #expect(failing.errors.contains("certificate own: upload failed: cannot read 'own.pem': No such file"))
        #expect(failing.output.hasSuffix("Applied generation 1: 4 created, 1 issued, 1 failed.\n"))
        #expect(try apply("history").output.contains("partial"))
        #expect(try apply("status").output.contains("certificate 'own' is missing"))
        try makeOwn()
        let rerun = try apply()
        #expect(rerun.status == 0)
        #expect(rerun.output.hasSuffix("Applied generation 2: 1 uploaded.\n"))
    }

    struct Refusal: Sendable, CustomStringConvertible {
        let description: String
        let words: String
    }

    @Test(
        "An unusable certificate is refused before it is stored",
        arguments: [
            Refusal(
                description: "another's key",
                words: "the private key does not belong to the certificate 'own.example.com'"),
            Refusal(
                description: "another host's", words: "it does not cover 'own.example.com'; it is for other.example.com"
            ),
            Refusal(description: "expired", words: "it expired on "),
            Refusal(description: "no PEM", words: "no private key found"),
            Refusal(
                description: "slow",
                words: "file own.key: the key is too large (RSA 8200): at most RSA 8192 is served, since each handshake"
            ),
        ])
    func refusals(_ refusal: Refusal) throws {
        switch refusal.description {
        case "another's key":
            try makeOwn()
            try makeOwn("other")
            try FileManager.default.removeItem(atPath: folder.path("own.key"))
            try FileManager.default.copyItem(atPath: folder.path("other.key"), toPath: folder.path("own.key"))
        case "another host's": try makeOwn(host: "other.example.com")
        case "expired": try makeOwn(days: -1)
        case "slow":
            try makeOwn()
            let made = try Tool.run(
                "openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:8200", "-pkeyopt",
                "rsa_keygen_primes:5", "-out", folder.path("own.key"))
            #expect(made.status == 0)
        default:
            try makeOwn()
            _ = try folder.file("own.key", "hello")
        }
        try write(Self.twoHosts)
        let foreseen = try apply("--dry-run")
        #expect(foreseen.status == 3)
        #expect(foreseen.errors.contains("error: certificate 'own' will be refused: "), "\(foreseen.errors)")
        #expect(foreseen.errors.contains(refusal.words), "\(foreseen.errors)")
        let outcome = try apply()
        #expect(outcome.status == 3)
        #expect(outcome.errors.contains(refusal.words), "\(outcome.errors)")
        #expect(try sql("SELECT name FROM certificates") == "web\n")
    }

    @Test("An expired certificate needs allow_expired, and one that expires soon causes a warning")
    func expiry() throws {
        try makeOwn(days: -1)
        try write(Self.twoHosts)
        #expect(try apply().status == 3)
        try write(Self.twoHosts.replacing("{ file: own.key } }", with: "{ file: own.key }, allow_expired: true }"))
        let allowed = try apply()
        #expect(allowed.status == 0, "\(allowed.errors)")
        #expect(allowed.errors.contains("warning: certificate own has expired on"))
        // The certificate's text is the same, but `allow_expired` is removed. Only the plan shows the difference.
        try write(Self.twoHosts)
        let taken = try apply("--dry-run")
        #expect(taken.status == 3)
        #expect(taken.errors.contains("error: certificate 'own' will be refused: file own.pem: it expired on"))
        #expect(taken.errors.components(separatedBy: "certificate 'own'").count == 2, "one word: \(taken.errors)")
        #expect(try apply().status == 3)
        try write(Self.twoHosts.replacing("{ file: own.key } }", with: "{ file: own.key }, allow_expired: true }"))
        try makeOwn(days: 20)
        let soon = try apply()
        #expect(soon.errors.contains("warning: certificate own expires in "), "\(soon.errors)")
        #expect(try apply("--dry-run").errors.contains("certificate 'own' expires on"))
    }

    @Test("Status says that there are no hosts, and since when a certificate is expired")
    func statusInWords() throws {
        try write("version: 1\nstate: { path: state/state.db }\ngateway: { cache_dir: cache }")
        #expect(try apply().status == 0)
        #expect(try apply("status").output == "generation 1\n\nno hosts\n")
        try makeOwn(days: -2)
        try write(Self.twoHosts.replacing("{ file: own.key } }", with: "{ file: own.key }, allow_expired: true }"))
        #expect(try apply().status == 0)
        #expect(try apply("status").output.contains("expired 2 days ago"))
    }

    @Test("An apply without any success says so, and its tries become events")
    func nothingApplied() throws {
        try makeOwn()
        try write(Self.twoHosts)
        #expect(try apply().status == 0)
        try write(
            Self.twoHosts.replacing(
                "hosts:", with: "  none: { source: custom, cert: { file: none.pem }, key: { file: own.key } }\nhosts:"))
        let failed = try apply()
        #expect(failed.status == 3)
        #expect(failed.output.hasSuffix("Nothing is applied: 1 failed.\n"), "\(failed.output)")
        #expect(try sql("SELECT name FROM events WHERE failure IS NOT NULL") == "none\n")
        #expect(try sql("SELECT count(*) FROM generations") == "1\n")
    }

    @Test("Several certificates are obtained at once, and each is stored even if others fail")
    func manyCertificates() throws {
        try makeOwn()
        let names = (0..<40).map { "c\($0)" }
        let lines = names.map { name in
            "  \(name): { source: custom, cert: { file: \(name == "c7" ? "none" : "own").pem }, key: { file: own.key } }\n"
        }
        try write(
            "version: 1\nstate: { path: state/state.db }\ngateway: { cache_dir: cache }\ncertificates:\n"
                + lines.joined())
        let outcome = try apply()
        #expect(outcome.status == 3)
        #expect(outcome.output.hasSuffix("Applied generation 1: 1 created, 39 uploaded, 1 failed.\n"))
        #expect(outcome.errors.split(separator: "\n").count { $0.hasSuffix(": uploaded") } == 39)
        #expect(try sql("SELECT count(*) FROM certificates") == "39\n")
    }

    @Test("A host moves to another certificate, and back by a rollback")
    func rollback() throws {
        try makeOwn()
        try makeOwn("new")
        try write(Self.twoHosts)
        #expect(try apply().status == 0)
        try write(
            Self.twoHosts.replacing(
                "  own: {", with: "  new: { source: custom, cert: { file: new.pem }, key: { file: new.key } }\n  own: {"
            )
            .replacing("certificate: own", with: "certificate: new"))
        let moved = try apply()
        #expect(moved.output.contains("certificate  own → new"))
        #expect(moved.output.hasSuffix("Applied generation 2: 1 updated, 1 uploaded.\n"))
        let back = try apply("rollback", "1")
        #expect(back.status == 0, "\(back.errors)")
        #expect(back.output.hasSuffix("Applied generation 3: 1 updated, 1 deleted.\n"))
        #expect(try sql("SELECT name FROM certificates ORDER BY name") == "own\nweb\n")
        #expect(try apply("rollback", "9").errors.contains("there is no generation 9"))
        #expect(try apply("rollback", "2").status == 0)
        #expect(try apply("rollback", "3").status == 0)
        #expect(try sql("SELECT file_name FROM generations WHERE number = 5") == "generation 3 of aegis.yaml\n")
        _ = try sql("DELETE FROM generation_texts WHERE number = 1")
        let gone = try apply("rollback", "1")
        #expect(gone.status == 1)
        #expect(gone.errors.contains("the text of generation 1 is no longer kept\nhint: the last 100 generations"))
    }

    @Test("A lock held by a running apply is respected, and a dead apply's lock is taken over")
    func lock() throws {
        try makeOwn()
        try write(Self.twoHosts)
        #expect(try apply().status == 0)
        let boot = try String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
        let namespace = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/pid")
        let scope = "\(boot.trimmingCharacters(in: .whitespacesAndNewlines))/\(namespace)"
        let now = Int(Date().timeIntervalSince1970)
        // The holder is PID 1 with another start time, so it is dead. A holder on another machine counts as alive.
        _ = try sql("INSERT INTO leases VALUES ('apply', 'elsewhere another-boot 1 7 ops', \(now), \(now + 30))")
        try write(Self.twoHosts + "\n  - { domain: c.example.com, respond: {} }")
        let held = try apply()
        #expect(held.status == 75)
        #expect(held.errors.contains("another apply is running: ops on elsewhere, process 1, since "))
        _ = try sql("UPDATE leases SET holder = 'here \(scope) 1 7 ops'")
        #expect(try apply().status == 0)
        #expect(try sql("SELECT count(*) FROM leases") == "0\n")
    }

    @Test("Removing a host from the file deletes it and its certificate from the state")
    func deletion() throws {
        try makeOwn()
        try write(Self.twoHosts)
        #expect(try apply().status == 0)
        let lines = Self.twoHosts.split(separator: "\n").filter { !$0.contains("own") }
        try write(lines.joined(separator: "\n"))
        let outcome = try apply()
        #expect(outcome.output.contains("- host own.example.com (no longer in the file)"))
        #expect(outcome.output.hasSuffix("Applied generation 2: 2 deleted.\n"))
        #expect(try sql("SELECT kind, name FROM deletions ORDER BY kind") == "certificate|own\nhost|own.example.com\n")
    }

    @Test("A change of one host writes no other host's row")
    func onlyWhatChanged() throws {
        try makeOwn()
        try write(Self.twoHosts)
        #expect(try apply().status == 0)
        let before = try sql("SELECT revision FROM position")
        try write(
            Self.twoHosts.replacing(
                "{ domain: own.example.com, respond: {}", with: "{ domain: own.example.com, respond: { status: 204 }"))
        #expect(try apply().status == 0)
        let revision = before.trimmingCharacters(in: .whitespacesAndNewlines)
        #expect(try sql("SELECT name FROM items WHERE revision > \(revision)") == "own.example.com\n")
        #expect(try sql("SELECT count(*) FROM certificates WHERE revision > \(revision)") == "0\n")
    }

    @Test("A failed replacement leaves the previous certificate in force")
    func failedReplacement() throws {
        try makeOwn()
        try write(Self.twoHosts)
        #expect(try apply().status == 0)
        try write(
            Self.twoHosts.replacing("own: {", with: "new: {").replacing("certificate: own", with: "certificate: new")
                .replacing("own.key", with: "none.key"))
        let failed = try apply()
        #expect(failed.status == 3)
        #expect(try sql("SELECT name FROM certificates ORDER BY name") == "own\nweb\n")
        try write(
            Self.twoHosts.replacing("own: {", with: "new: {").replacing("certificate: own", with: "certificate: new"))
        #expect(try apply().status == 0)
        #expect(try sql("SELECT name FROM certificates ORDER BY name") == "new\nweb\n")
    }

    @Test("A host can't use a stored certificate for other names, and stays unchanged")
    func uncoveredHost() throws {
        try makeOwn()
        try write(Self.twoHosts)
        #expect(try apply().status == 0)
        let moved = Self.twoHosts.replacing("certificate: web }", with: "certificate: own }")
        try write(moved + "\n  - { domain: x.example.com, respond: {}, ssl_mode: custom, certificate: own }")
        let plan = try apply("--dry-run")
        #expect(plan.status == 3)
        #expect(
            plan.errors.contains(
                "aegis.yaml:11:5: error: host 'x.example.com' will be refused: certificate 'own' does not cover 'x"))
        #expect(!plan.errors.contains("does not cover all names of 'x.example.com'"))
        let outcome = try apply()
        #expect(outcome.status == 3)
        for host in ["www", "x"] {
            let words =
                "host \(host).example.com: \(host == "x" ? "create" : "update") failed: certificate 'own' does not"
            #expect(outcome.errors.contains(words), "\(outcome.errors)")
        }
        #expect(outcome.output.hasSuffix("Nothing is applied: 2 failed.\n"))
        #expect(try apply("status").output.contains("www.example.com  web"))
        #expect(try sql("SELECT count(*) FROM items WHERE kind = 'host'") == "2\n")
        #expect(try sql("SELECT name FROM events WHERE failure IS NOT NULL").hasPrefix("www.example.com\n"))
        // A host of an older state is not checked until it changes.
        _ = try sql("UPDATE certificates SET domains = 'other.example.com' WHERE name = 'own'")
        try write(Self.twoHosts)
        #expect(try apply().status == 0)
        #expect(try apply("status").output.contains("its certificate does not cover all its names"))
    }
}
