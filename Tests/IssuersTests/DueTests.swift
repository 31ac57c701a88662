import ConfigModel
import State
import Testing

@testable import Issuers

/// Gateways, plans and the command `renew` use the same rule for when a certificate is due.
@Suite struct DueTests {
    private static let day: Int64 = 86_400

    private static func issuer(_ settings: String = "") throws -> Issuer {
        let record = #"{"type":"acme","directory":"https://ca.test/dir"\#(settings)}"#
        var issuer = try #require(Issuer(record: Array(record.utf8)))
        issuer.name = "letsencrypt"
        return issuer
    }

    private static func certificate() throws -> ManagedCertificate {
        let record = Array(
            #"{"domain":"app.test","aliases":["www.app.test"],"respond":{},"ssl_mode":"letsencrypt"}"#.utf8)
        let host = try #require(Host(record: record))
        return try #require(ManagedCertificate(host, record: record))
    }

    /// The facts of a certificate that is valid for 90 days from day 0.
    private static func facts(_ change: (inout CertificateFacts) -> Void = { _ in }) -> CertificateFacts {
        var facts = CertificateFacts(
            domains: ["www.app.test", "app.test"], source: .letsencrypt, issuerCommonName: "CA", notBefore: 0,
            expiresAt: 90 * day, autoRenew: true, createdAt: 0, fingerprint: "ab", directory: "https://ca.test/dir")
        change(&facts)
        return facts
    }

    private static func dueDay(
        _ facts: CertificateFacts?, _ progress: RenewalProgress? = nil, settings: String = ""
    ) throws -> Double {
        let issuers = ["letsencrypt": try issuer(settings)]
        return Double(try certificate().dueAt(facts, from: issuers, after: progress)) / Double(day)
    }

    @Test("Without advice, a certificate is due with a third of its lifetime left, or a little earlier")
    func lifetime() throws {
        #expect(48.75...60 ~= (try Self.dueDay(Self.facts())))
    }

    @Test("A revoked or lost certificate is due at once, or after a failure at the next try")
    func loss() throws {
        let facts = Self.facts { $0.loss = "was revoked" }
        #expect(try Self.dueDay(facts) == 0)
        var progress = RenewalProgress(certificate: "app.test")
        progress.nextTryAt = 7 * Self.day
        #expect(try Self.dueDay(facts, progress) == 7)
    }

    @Test("A certificate is due at the operator's renew_before")
    func wish() throws {
        #expect(18.75...30 ~= (try Self.dueDay(Self.facts(), settings: #","renew_before":"60d""#)))
    }

    @Test("A certificate is due as the CA advises, if the advice is about this leaf")
    func advice() throws {
        var progress = RenewalProgress(certificate: "app.test")
        progress.advisedAt = 40 * Self.day
        progress.advisedFingerprint = "ab"
        #expect(try Self.dueDay(Self.facts(), progress) == 40)
        progress.advisedFingerprint = "cd"
        #expect(try Self.dueDay(Self.facts(), progress) > 40)
    }

    @Test("After failures a certificate is not due before the next try")
    func failures() throws {
        var progress = RenewalProgress(certificate: "app.test")
        progress.nextTryAt = 70 * Self.day
        #expect(try Self.dueDay(Self.facts(), progress) == 70)
        #expect(try Self.dueDay(nil, progress) == 70)
    }

    @Test(
        "A certificate that differs from its declaration is due at once, or at the next try",
        arguments: [
            { $0.domains = ["app.test"] }, { $0.directory = "https://staging.test/dir" },
        ] as [@Sendable (inout CertificateFacts) -> Void])
    func unmet(change: @Sendable (inout CertificateFacts) -> Void) throws {
        #expect(try Self.dueDay(Self.facts(change)) == 0)
        var progress = RenewalProgress(certificate: "app.test")
        progress.nextTryAt = 7 * Self.day
        #expect(try Self.dueDay(Self.facts(change), progress) == 7)
    }

    @Test("A certificate with extra names, or from an unknown directory, is not due for that reason")
    func met() throws {
        #expect(try Self.dueDay(Self.facts { $0.domains.append("old.app.test") }) > 40)
        #expect(try Self.dueDay(Self.facts { $0.directory = "" }) > 40)
    }
}
