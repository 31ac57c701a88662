import ConfigModel
import State
import TestSupport
import Testing

@testable import Reconciler

/// Kept certificates: when they are reused, and when they only stand in for an ordered certificate.
extension PlannerTests {
    /// The state after `app.example.com` was removed from the file. Its certificate, valid from day 0 to 90, has been
    /// kept since day 10.
    static func snapshotWithKept(_ file: String = file) throws -> StateSnapshot {
        var snapshot = Self.snapshot(of: try Self.configuration(file))
        let id = ItemID(.certificate, "app.example.com")
        var item = try #require(snapshot.items[id])
        snapshot.items[id] = nil
        snapshot.items[ItemID(.host, "app.example.com")] = nil
        item.certificate = CertificateFacts(
            domains: ["app.example.com", "www.example.com"], source: .letsencrypt, issuerCommonName: "CA",
            notBefore: 0, expiresAt: 90 * day, autoRenew: true, createdAt: 0, fingerprint: "",
            directory: "https://ca.example.com/dir")
        snapshot.kept[id.name] = KeptCertificate(item: item, since: 10 * day)
        return snapshot
    }

    struct Return: Sendable {
        var day: Int64
        var from = ""
        var to = ""
        var isUsed: Bool
    }

    @Test(
        "A kept certificate is reused by the same declaration while it is valid and retained",
        arguments: [
            Return(day: 10, isUsed: true), Return(day: 39, isUsed: true), Return(day: 40, isUsed: false),
            Return(day: 12, from: "version: 1", to: "version: 1\nstate: { retention: 1d }", isUsed: false),
            Return(day: 12, from: "version: 1", to: "version: 1\nstate: { retention: 0 }", isUsed: false),
            Return(day: 59, from: "version: 1", to: "version: 1\nstate: { retention: 90d }", isUsed: false),
            Return(day: 12, from: "[www.example.com]", to: "[other.example.com]", isUsed: false),
            Return(day: 12, from: "ca.example.com/dir", to: "other.example.com/dir", isUsed: false),
            Return(day: 12, from: "hsts: { max_age: 300 }", to: "force_https: true", isUsed: true),
        ])
    func keptCertificate(_ example: Return) throws {
        let text = example.from.isEmpty ? Self.file : Self.file.replacing(example.from, with: example.to)
        let plan = Planner(
            try Self.configuration(text), against: try Self.snapshotWithKept(), now: example.day * Self.day
        ).plan()
        let change = try #require(plan.changes.first { $0.item == ItemID(.certificate, "app.example.com") })
        #expect(change.action == (example.isUsed ? .create : .issue))
        #expect(change.reason?.contains("kept since 1970-01-11 00:00:00 UTC") == true)
        #expect(change.reason?.hasSuffix("UTC, used again") == example.isUsed)
        #expect(change.reason?.contains(" no longer kept") == !example.isUsed)
    }

    @Test("Only deleted certificates that would need a new order are kept")
    func whatIsKept() throws {
        var before = try Self.snapshotWithCertificates()
        before.items[ItemID(.certificate, "app.example.com")] = try Self.snapshotWithKept().kept["app.example.com"]?
            .item
        let plan = Planner(try Self.configuration("version: 1\n"), against: before, now: Self.day).plan()
        let reasons = Dictionary(
            plan.changes.filter { $0.item.kind == .certificate }.map { ($0.item.name, $0.reason) }
        ) { $1 }
        #expect(
            reasons == [
                "app.example.com": "no longer in the file; it is kept until 1970-02-01 00:00:00 UTC",
                "shop": "no longer in the file", "nas": "no longer in the file",
            ])
    }

    private static let back = """
        version: 1
        issuers:
          one: { type: acme, directory: "https://one.example.com/dir" }
          two: { type: acme, directory: "https://two.example.com/dir" }
          rsa: { type: acme, directory: "https://one.example.com/dir", key_type: rsa-2048 }
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
        /// Whether the host is put in force before its certificate is obtained. Nil if no certificate stands in.
        var isAtOnce: Bool?
        /// Why the kept certificate only stands in.
        var cause = ""
        /// The plan's text about the kept certificate, after the date.
        var words = "; it stands in until the new one is there, and is no longer kept; it is not used again: "
    }

    static let comebacks = [
        Comeback(
            testDescription: "another issuer", to: "issuers: [two]", isAtOnce: true, cause: "it is from issuer 'one'"),
        Comeback(
            testDescription: "a name less", from: "aliases: [www.a.test], ", to: "", isAtOnce: true,
            cause: "it is also for www.a.test"),
        Comeback(
            testDescription: "a name more", from: "[www.a.test]", to: "[www.a.test, m.a.test]", isAtOnce: false,
            cause: "it lacks m.a.test"),
        Comeback(
            testDescription: "other names of another issuer, with another key",
            from: "aliases: [www.a.test], respond: {}, ssl_mode: letsencrypt, issuers: [one]",
            to: "respond: {}, ssl_mode: letsencrypt, issuers: [rsa]", isAtOnce: true,
            cause: "it is also for www.a.test, it is from issuer 'one', its key is ecdsa-p256"),
        Comeback(
            testDescription: "a due certificate", from: "version: 1", to: "version: 1\nstate: { retention: 90d }",
            day: 80,
            isAtOnce: true, cause: "it expires in 10 days"),
        Comeback(
            testDescription: "another name of a kept certificate", to: "issuers: [two]", kept: "shop", isAtOnce: true,
            cause: "it is from issuer 'one'"),
        Comeback(
            testDescription: "revoked", to: "issuers: [two]", loss: "was revoked", words: " is no longer kept"),
        Comeback(
            testDescription: "for too long", to: "issuers: [two]", day: 30, words: " is no longer kept"),
    ]

    @Test("A valid kept certificate stands in until the ordered one is issued", arguments: comebacks)
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
        #expect(reason.hasSuffix(example.words + example.cause), "\(reason)")
        let schedule = HostSchedule(plan, of: configuration, now: example.day * Self.day)
        #expect(schedule.ready.isEmpty == (example.isAtOnce != true))
    }

    @Test("A kept certificate that moved stands in for nothing, and a name conflict is reported")
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
        #expect(other.last?.reason == "the certificate kept since 1970-01-01 00:00:00 UTC is no longer kept")
    }

    struct Replaced: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var from = "[www.a.test]"
        var to: String
        var day: Int64 = 1
        var loss: String?
        /// Whether the certificate in force is kept when another one replaces it.
        var isKept = true
    }

    static let replaced = [
        Replaced(testDescription: "a name less", from: "aliases: [www.a.test], ", to: ""),
        Replaced(testDescription: "a name more", to: "[www.a.test, m.a.test]"),
        Replaced(testDescription: "another issuer", from: "issuers: [one]", to: "issuers: [two]"),
        Replaced(
            testDescription: "another alias", from: "domain: a.test, aliases: [www.a.test]",
            to: "domain: a.test, aliases: [m.a.test]"),
        Replaced(testDescription: "revoked", to: "[www.a.test, m.a.test]", loss: "was revoked", isKept: false),
        Replaced(testDescription: "over", to: "[www.a.test, m.a.test]", day: 91, isKept: false),
        Replaced(
            testDescription: "not to be kept", from: "version: 1", to: "version: 1\nstate: { retention: 0 }",
            isKept: false),
        Replaced(
            testDescription: "only due", from: "issuers: [one]", to: "issuers: [one, two]", day: 80, isKept: false),
    ]

    /// The state in which the certificate is in force.
    private static func snapshotInForce(loss: String? = nil) throws -> StateSnapshot {
        var snapshot = Self.snapshot(of: try Self.configuration(back))
        snapshot.items[ItemID(.certificate, "a.test")] = try snapshotOfBack(loss: loss).kept["a.test"]?.item
        return snapshot
    }

    @Test("A certificate replaced by another order is kept", arguments: replaced)
    func replaced(_ example: Replaced) throws {
        let text = Self.back.replacing(example.from, with: example.to)
        let plan = Planner(
            try Self.configuration(text), against: try Self.snapshotInForce(loss: example.loss),
            now: example.day * Self.day
        ).plan()
        let change = plan.changes.first { $0.item.kind == .certificate }
        #expect(change?.keepsFormer ?? false == example.isKept)
        if example.isKept {
            #expect(change?.action == .issue)
            #expect(change?.reason == "the certificate in force is kept until 1970-02-01 00:00:00 UTC")
        }
    }

    @Test("When its names return, a kept certificate is used again and the present one is kept")
    func namesComeBack() throws {
        let smaller = Self.back.replacing("aliases: [www.a.test], ", with: "")
        let id = ItemID(.certificate, "a.test")
        var snapshot = Self.snapshot(of: try Self.configuration(smaller))
        let kept = try #require(try Self.snapshotOfBack().kept["a.test"])
        var facts = kept.item.certificate
        facts?.domains = ["a.test"]
        snapshot.items[id]?.certificate = facts
        snapshot.kept["a.test@01234567"] = kept
        func change(_ text: String, day: Int64 = 1) throws -> Change? {
            Planner(try Self.configuration(text), against: snapshot, now: day * Self.day).plan().changes
                .first { $0.item == id }
        }
        let back = try #require(try change(Self.back))
        #expect(back.action == .update && back.predecessor == "a.test@01234567" && back.isAtHand && back.keepsFormer)
        #expect(
            back.reason
                == "kept since 1970-01-01 00:00:00 UTC, used again; the certificate in force is kept until 1970-02-01 00:00:00 UTC"
        )
        #expect(!back.fields.isEmpty)
        // With other names, with another CA, or if the kept certificate is due, a new certificate is ordered.
        for (text, day) in [
            (Self.back.replacing("[www.a.test]", with: "[m.a.test]"), 1),
            (Self.back.replacing("issuers: [one]", with: "issuers: [two]"), 1), (Self.back, 29 + 31),
        ] as [(String, Int64)] {
            let change = try change(text, day: day)
            #expect(change?.action == .issue && change?.predecessor == nil)
        }
        // If a kept certificate has the names but is not used, the reason names it with the cause.
        let other = try #require(try change(Self.back.replacing("issuers: [one]", with: "issuers: [rsa]"))?.reason)
        #expect(
            other
                == "the certificate in force is kept until 1970-02-01 00:00:00 UTC;"
                + " 'a.test@01234567' was kept since 1970-01-01 00:00:00 UTC; it is not used again:"
                + " it is from issuer 'one', its key is ecdsa-p256")
        // If two kept certificates fit, the one that was kept last is used, whatever its name.
        snapshot.kept["a.test@ffffffff"] = kept
        snapshot.kept["a.test@01234567"]?.since = kept.since + 60
        #expect(try change(Self.back)?.predecessor == "a.test@01234567")
    }

    @Test("When its former issuer is back, a kept certificate is used again, or the plan says why not")
    func issuerComesBack() throws {
        let id = ItemID(.certificate, "a.test")
        let moved = Self.back.replacing("issuers: [one]", with: "issuers: [two]")
        var snapshot = Self.snapshot(of: try Self.configuration(moved))
        let kept = try #require(try Self.snapshotOfBack().kept["a.test"])
        snapshot.items[id]?.certificate = kept.item.certificate
        snapshot.items[id]?.certificate?.directory = "https://two.example.com/dir"
        snapshot.kept["a.test@01234567"] = kept
        func change(day: Int64 = 1, loss: String? = nil) throws -> Change? {
            snapshot.kept["a.test@01234567"]?.item.certificate?.loss = loss
            return Planner(try Self.configuration(Self.back), against: snapshot, now: day * Self.day).plan().changes
                .first { $0.item == id }
        }
        let back = try #require(try change())
        #expect(back.action == .update && back.predecessor == "a.test@01234567" && back.isAtHand && back.keepsFormer)
        let again = try change(loss: "was revoked")
        #expect(again?.action == .issue && again?.predecessor == nil)
    }
}
