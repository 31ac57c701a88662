import ConfigModel
import Reconciler
import State
import Testing

/// What `status` prints about a host, depending on the stored certificates.
@Suite struct HostStatusTests {
    private static let day: Int64 = 86_400

    private static func certificate(
        _ name: String, _ domains: [String], from start: Int64 = 0, until end: Int64, autoRenew: Bool = false
    ) -> (ItemID, StoredItem) {
        let facts = CertificateFacts(
            domains: domains, source: autoRenew ? .localCA : .custom, issuerCommonName: "CA", notBefore: start * day,
            expiresAt: end * day, autoRenew: autoRenew, createdAt: 0, fingerprint: "")
        return (ItemID(.certificate, name), StoredItem(owner: .file, record: [], certificate: facts))
    }

    /// The status on day 1000 of a host `a.example.com` that names the certificate `own`.
    private static func status(_ certificates: (ItemID, StoredItem)..., host: String? = nil) throws -> HostStatus {
        let own = #"{"domain":"a.example.com","respond":{},"ssl_mode":"custom","certificate":"own"}"#
        var items = Dictionary(uniqueKeysWithValues: certificates)
        items[ItemID(.host, "a.example.com")] = StoredItem(owner: .file, record: Array((host ?? own).utf8))
        let all = HostStatus.all(in: StateSnapshot(generation: 1, items: items), now: 1000 * day)
        return try #require(all.first)
    }

    struct Ending: Sendable, CustomStringConvertible {
        let description: String
        var start: Int64 = 900
        let end: Int64
        var autoRenew = false
        var problem: String?
        var warning: String?
    }

    @Test(
        "Status warns a month before an own certificate ends, and of others when renewal is late",
        arguments: [
            Ending(description: "own, 31 days", end: 1031),
            Ending(description: "own, 29 days", end: 1029, warning: "its certificate expires soon"),
            Ending(description: "own, 7 days", end: 1007, warning: "its certificate expires soon"),
            Ending(description: "own, 6 days", end: 1006, problem: "its certificate is about to expire"),
            Ending(description: "own, over", end: 1000, problem: "its certificate has expired"),
            Ending(description: "renewed, 35 of 90 days", start: 945, end: 1035, autoRenew: true),
            Ending(
                description: "renewed, 29 of 90 days", start: 939, end: 1029, autoRenew: true,
                warning: "its certificate expires soon"),
            Ending(
                description: "renewed, 6 of 90 days", start: 916, end: 1006, autoRenew: true,
                problem: "its certificate is about to expire"),
            Ending(description: "renewed, 4 of 6 days", start: 998, end: 1004, autoRenew: true),
            Ending(
                description: "renewed, 2 of 6 days", start: 996, end: 1002, autoRenew: true,
                problem: "its certificate is about to expire"),
        ])
    func endings(_ sample: Ending) throws {
        let status = try Self.status(
            Self.certificate(
                "own", ["a.example.com"], from: sample.start, until: sample.end, autoRenew: sample.autoRenew))
        #expect(status.certificate == "own")
        #expect(status.problem == sample.problem)
        #expect(status.warning == sample.warning)
    }

    @Test("A disabled host has a note about its certificate instead of problems")
    func disabled() throws {
        func note(_ certificate: String, loss: String? = nil, until end: Int64 = 2000) throws -> String? {
            var (id, item) = Self.certificate("a.example.com", ["a.example.com"], until: end, autoRenew: true)
            item.certificate?.loss = loss
            let status = try Self.status(
                (id, item), host: #"{"domain":"a.example.com","respond":{},"enabled":false,\#(certificate)}"#)
            #expect(status.problem == nil && status.warning == nil && !status.isEnabled)
            return status.note
        }
        let made = #""ssl_mode":"letsencrypt""#
        let named = #""ssl_mode":"custom","certificate":"a.example.com""#
        #expect(try note(made) == "disabled")
        #expect(try note(made, until: 1001) == "disabled")
        #expect(
            try note(made, loss: "was revoked")
                == "disabled; its certificate was revoked and is replaced when the host is enabled")
        #expect(
            try note(made, until: 1000)
                == "disabled; its certificate has expired and is replaced when the host is enabled")
        #expect(try note(named, loss: "was revoked") == "disabled; its certificate was revoked")
    }

    @Test("An unreadable record is a problem even if it might be a disabled host's")
    func unreadable() throws {
        let status = try Self.status(host: "{")
        #expect(status.problem == "its record can't be read" && status.note == nil)
    }

    @Test("A host without its own certificate shows the stored one for its name, else none")
    func standIn() throws {
        let none = try Self.status(Self.certificate("other", ["b.example.com", "*.a.example.com"], until: 2000))
        #expect(none.certificate == nil && none.expiresAt == nil)
        #expect(none.problem == "certificate 'own' is missing")
        let disabled = try Self.status(
            host: #"{"domain":"a.example.com","respond":{},"ssl_mode":"letsencrypt","enabled":false}"#)
        #expect(disabled.problem == nil && disabled.warning == nil && disabled.note == "disabled")
        let renamed = #""domain":"a.example.com","respond":{},"ssl_mode":"letsencrypt""#
        let former = Self.certificate("b.example.com", ["b.example.com", "c.example.com"], until: 2000)
        let all = try Self.status(former, host: #"{\#(renamed),"aliases":["b.example.com","c.example.com"]}"#)
        #expect(all.certificate == nil)
        #expect(all.problem == "certificate 'a.example.com' is missing, 'b.example.com' stands in for its aliases")
        let some = try Self.status(former, host: #"{\#(renamed),"aliases":["d.example.com","c.example.com"]}"#)
        #expect(
            some.problem == "certificate 'a.example.com' is missing, 'b.example.com' stands in for some of its aliases")
        let kept = try Self.status(
            Self.certificate("wild", ["*.example.com"], until: 1500),
            Self.certificate("x", ["a.example.com"], until: 2000))
        #expect(kept.certificate == "x" && kept.daysLeft == 1000)
        #expect(kept.problem == "certificate 'own' is missing, 'x' stands in")
        let wild = try Self.status(
            Self.certificate("wild", ["*.example.com"], until: 1005),
            host: #"{"domain":"a.example.com","respond":{},"ssl_mode":"none"}"#)
        #expect(wild.certificate == "wild" && wild.issuer == "CA")
        #expect(wild.problem == nil && wild.warning == nil)
    }
}
