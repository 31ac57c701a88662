import Foundation
import PKI
import TestSupport
import Testing

/// What an apply issues from the local CA, and what it does if the local CA can't be used.
extension ApplyTests {
    @Test("OpenSSL verifies certificates of the local CA")
    func opensslAgrees() throws {
        try makeOwn()
        try write(Self.twoHosts)
        #expect(try apply().status == 0)
        #expect(try apply("certificates", "export", "web", "--out", "web.pem").status == 0)
        let root = folder.path("cache/aegis-local-ca.crt")
        for file in ["web.pem", "cache/admin-ui-self-signed.crt", "cache/proxy-self-signed.crt"] {
            let verified = try Tool.run(
                "openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", root, folder.path(file))
            #expect(verified.status == 0, "\(verified.output)")
        }
        for host in ["www.example.com", "a.example.org"] {
            let checked = try Tool.run("openssl", "x509", "-in", folder.path("web.pem"), "-noout", "-checkhost", host)
            #expect(checked.output.contains("does match"))
        }
        let text = try Tool.run("openssl", "x509", "-in", root, "-noout", "-text").output
        #expect(text.contains("CA:TRUE, pathlen:0"))
    }

    @Test("After the local CA was deleted, its certificates are issued again")
    func newAuthority() throws {
        try makeOwn()
        try write(Self.twoHosts)
        #expect(try apply().status == 0)
        for ending in ["crt", "key"] {
            try FileManager.default.removeItem(atPath: folder.path("cache/aegis-local-ca.\(ending)"))
        }
        let outcome = try apply()
        #expect(outcome.output.contains("certificate web: issue (the local CA is another now)"))
        #expect(try apply("certificates", "export", "web", "--out", "web.pem").status == 0)
        let root = folder.path("cache/aegis-local-ca.crt")
        #expect(try Tool.run("openssl", "verify", "-CAfile", root, folder.path("web.pem")).status == 0)
        #expect(try apply().output.hasPrefix("No changes"))
    }

    struct BrokenAuthority: Sendable, CustomStringConvertible {
        let description: String
        let words: String
    }

    @Test(
        "An unusable local CA causes a warning with a hint, and only its certificates fail",
        arguments: [
            BrokenAuthority(description: "expired", words: "the local CA './cache/aegis-local-ca.crt' expired on "),
            BrokenAuthority(description: "no PEM", words: "its key can't be used: no certificate found"),
            BrokenAuthority(description: "another's key", words: "the private key does not belong to the certificate"),
            BrokenAuthority(description: "no key", words: "but its key './cache/aegis-local-ca.key' is not"),
        ])
    func brokenAuthority(_ sample: BrokenAuthority) throws {
        let (certificate, key) = ("cache/aegis-local-ca.crt", "cache/aegis-local-ca.key")
        try makeOwn()
        let lines = Self.twoHosts.split(separator: "\n").filter { !$0.contains("web") }
        try write(lines.joined(separator: "\n"))
        #expect(try apply().status == 0)
        switch sample.description {
        case "expired":
            let root = try CertificateAuthority.makeRoot(commonName: "Old CA", now: 1_000_000_000, lifetimeSeconds: 1)
            _ = try folder.file(certificate, root.certificate.pem)
            _ = try folder.file(key, String(decoding: try root.key.pem().plainCopy(), as: UTF8.self))
        case "no PEM": _ = try folder.file(certificate, "hello")
        case "another's key":
            _ = try folder.file(key, String(contentsOfFile: folder.path("own.key"), encoding: .utf8))
        default: try FileManager.default.removeItem(atPath: folder.path(key))
        }
        let idle = try apply()
        #expect(idle.status == 0)
        #expect(idle.errors.contains("warning: ") && idle.errors.contains(sample.words), "\(idle.errors)")
        #expect(idle.errors.contains("delete certificate and key to have a new CA made"), "\(idle.errors)")
        try write(Self.twoHosts)
        let failing = try apply()
        #expect(failing.status == 3)
        #expect(failing.errors.contains("certificate web: issue failed: "), "\(failing.errors)")
        #expect(failing.errors.contains("  hint: "))
        #expect(failing.output.hasSuffix("Applied generation 2: 1 created, 1 failed.\n"))
        for name in [certificate, key] { try? FileManager.default.removeItem(atPath: folder.path(name)) }
        #expect(try apply().output.hasSuffix("1 issued.\n"))
    }

    @Test("If several first applies start at once, one continues, the others report it, and all share one CA")
    func firstAppliesAtOnce() async throws {
        try makeOwn()
        try write(Self.twoHosts)
        let outcomes = try await withThrowingTaskGroup(of: ApplyProgram.Outcome.self) { group in
            for _ in 0..<4 { group.addTask { try apply() } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        for outcome in outcomes { #expect([0, 75].contains(outcome.status), "\(outcome.errors)") }
        #expect(outcomes.contains { $0.status == 0 })
        #expect(try apply().output.hasPrefix("No changes"))
        let root = folder.path("cache/aegis-local-ca.crt")
        #expect(try apply("certificates", "export", "web", "--out", "web.pem").status == 0)
        #expect(try Tool.run("openssl", "verify", "-CAfile", root, folder.path("web.pem")).status == 0)
    }
}
