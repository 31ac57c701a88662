import ConfigModel
import State
import TestSupport
import Testing

@testable import Reconciler

/// Certificates that were kept, and do not fit what comes back.
extension PlannerTests {
    private static let back = """
        version: 1
        issuers:
          one: { type: acme, directory: "https://one.example.com/dir" }
          two: { type: acme, directory: "https://two.example.com/dir" }
        hosts:
          - { domain: a.test, aliases: [www.a.test], respond: {}, ssl_mode: letsencrypt, issuers: [one] }

        """

    private static func snapshotOfBack(_ name: String = "a.test", loss: String? = nil) throws -> StateSnapshot {
        var snapshot = Self.snapshot(of: try Self.configuration(back))
        let id = ItemID(.certificate, "a.test")
        var item = try #require(snapshot.items[id])
        snapshot.items[id] = nil
        snapshot.items[ItemID(.host, "a.test")] = nil
        item.certificate = CertificateFacts(
            domains: ["a.test", "www.a.test"], source: .letsencrypt, issuerCommonName: "CA", notBefore: 0,
            expiresAt: 90 * day, autoRenew: true, createdAt: 0, fingerprint: "",
            directory: "https://one.example.com/dir", loss: loss)
        snapshot.kept[name] = KeptCertificate(item: item, since: 0)
        return snapshot
    }

    struct Comeback: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var from = "issuers: [one]"
        var to: String
        var kept = "a.test"
        var loss: String?
        var day: Int64 = 1
        /// Whether the host is put before its certificate is obtained; nil where nothing stands in.
        var isAtOnce: Bool?
        /// What the plan says of what was kept behind the date.
        var words = "; it stands in until the new one is there, and is kept no longer"
    }

    static let comebacks = [
        Comeback(testDescription: "another issuer", to: "issuers: [two]", isAtOnce: true),
        Comeback(testDescription: "a name less", from: "aliases: [www.a.test], ", to: "", isAtOnce: true),
        Comeback(
            testDescription: "a name more", from: "[www.a.test]", to: "[www.a.test, m.a.test]", isAtOnce: false),
        Comeback(
            testDescription: "what is due", from: "version: 1", to: "version: 1\nstate: { retention: 90d }", day: 80,
            isAtOnce: true),
        Comeback(
            testDescription: "another name of what was kept", to: "issuers: [two]", kept: "shop", isAtOnce: true),
        Comeback(
            testDescription: "revoked", to: "issuers: [two]", loss: "was revoked", words: " is kept no longer"),
        Comeback(
            testDescription: "for too long", to: "issuers: [two]", day: 30, words: " is kept no longer"),
    ]

    @Test("What was kept stands in for what is ordered in its place, as long as it is valid", arguments: comebacks)
    func comeback(_ example: Comeback) throws {
        let configuration = try Self.configuration(Self.back.replacing(example.from, with: example.to))
        let snapshot = try Self.snapshotOfBack(example.kept, loss: example.loss)
        let plan = Planner(configuration, against: snapshot, now: example.day * Self.day).plan()
        let certificates = plan.changes.filter { $0.item.kind == .certificate }
        let change = try #require(certificates.first)
        #expect(certificates.count == 1)
        #expect(change.action == .issue)
        #expect(change.standIn == (example.isAtOnce == nil ? nil : example.kept))
        let reason = try #require(change.reason)
        #expect(reason.contains("kept since 1970-01-01 00:00:00 UTC\(example.words)"), "\(reason)")
        let schedule = HostSchedule(plan, of: configuration, now: example.day * Self.day)
        #expect(schedule.ready.isEmpty == (example.isAtOnce != true))
    }

    @Test("What is used under another name stands in for nothing, and whose name is taken is told of")
    func taken() throws {
        let file = """
            version: 1
            issuers: { one: { type: acme, directory: "https://one.example.com/dir" } }
            certificates:
              shop: { issuer: one, domains: [www.a.test, a.test] }
              a.test: { source: custom, cert: { file: a.pem }, key: { file: a.key } }

            """
        let plan = Planner(try Self.configuration(file), against: try Self.snapshotOfBack(), now: Self.day).plan()
        let changes = plan.changes.filter { $0.item.kind == .certificate }
        #expect(changes.map(\.action) == [.create, .upload])
        #expect(changes.map(\.predecessor) == ["a.test", nil])
        #expect(changes.last?.reason == nil)
        var snapshot = try Self.snapshotOfBack()
        snapshot.kept["a.test"]?.item.certificate?.domains = ["b.test"]
        let other = Planner(
            try Self.configuration(file.replacing("[www.a.test, a.test]", with: "[c.test]")), against: snapshot,
            now: Self.day
        ).plan().changes.filter { $0.item.kind == .certificate }
        #expect(other.map(\.action) == [.issue, .upload])
        #expect(other.map(\.standIn) == [nil, nil])
        #expect(other.last?.reason == "what was kept since 1970-01-01 00:00:00 UTC is kept no longer")
    }
}
