import ConfigModel
import State
import TestSupport
import Testing

@testable import Reconciler

/// Stored certificates: which changes of their declaration need a new certificate, and how long they are kept.
extension PlannerTests {
    private static let issued = """
        version: 1
        issuers:
          a: { type: acme, directory: "https://a.example.com/dir", key_type: ecdsa-p384 }
          b: { type: acme, directory: "https://b.example.com/dir" }
          letsencrypt: { type: acme, directory: "https://ca.example.com/dir" }
          cf: { type: cloudflare_origin, api_token: { env: CF }, zone_id: 0123456789abcdef0123456789abcdef }
        certificates:
          shop: { issuer: a, domains: [a.example.com, b.example.com, c.example.com] }
          origin: { issuer: cf, domains: [o.example.com] }
        hosts:
          - { domain: app.example.com, aliases: [w.example.com, v.example.com], respond: {}, ssl_mode: letsencrypt, issuers: [a] }
        """

    private static func snapshotOfIssued() throws -> StateSnapshot {
        var snapshot = Self.snapshot(of: try Self.configuration(issued))
        for (name, source) in [
            ("shop", CertificateFacts.Source.letsencrypt), ("origin", .cloudflareOrigin),
            ("app.example.com", .letsencrypt),
        ] {
            snapshot.items[ItemID(.certificate, name)]?.certificate = CertificateFacts(
                domains: [], source: source, issuerCommonName: "", notBefore: 0, expiresAt: 90 * day, autoRenew: true,
                createdAt: 0, fingerprint: "", directory: source == .letsencrypt ? "https://a.example.com/dir" : "")
        }
        return snapshot
    }

    struct Redeclaration: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var name = "shop"
        var from: String
        var to: String
        var day: Int64 = 1
        var action: Action?
    }

    static let redeclarations = [
        Redeclaration(
            testDescription: "renewals off", from: "c.example.com] }", to: "c.example.com], auto_renew: false }",
            action: .update),
        Redeclaration(
            testDescription: "renewals off, when it is due", from: "c.example.com] }",
            to: "c.example.com], auto_renew: false }", day: 80, action: .update),
        Redeclaration(
            testDescription: "names in another order", from: "b.example.com, c.example.com]",
            to: "c.example.com, b.example.com]", action: .update),
        Redeclaration(
            testDescription: "another name first", from: "[a.example.com, b.example.com",
            to: "[b.example.com, a.example.com", action: .update),
        Redeclaration(testDescription: "a name less", from: ", c.example.com]", to: "]", action: .issue),
        Redeclaration(
            testDescription: "the default kind of key written out", from: "{ issuer: a, ",
            to: "{ issuer: a, key_type: ecdsa-p384, ", action: .update),
        Redeclaration(
            testDescription: "another kind of key", from: "{ issuer: a, ", to: "{ issuer: a, key_type: ecdsa-p256, ",
            action: .issue),
        Redeclaration(testDescription: "another issuer", from: "{ issuer: a, ", to: "{ issuer: b, ", action: .issue),
        Redeclaration(
            testDescription: "the issuer's zone written out", name: "origin", from: "[o.example.com]",
            to: "[o.example.com], zone_id: 0123456789abcdef0123456789abcdef", action: .update),
        Redeclaration(
            testDescription: "another zone", name: "origin", from: "[o.example.com]",
            to: "[o.example.com], zone_id: ffffffffffffffffffffffffffffffff", action: .issue),
        Redeclaration(
            testDescription: "a CA to fall back on", name: "app.example.com", from: "issuers: [a]",
            to: "issuers: [a, b]",
            action: .update),
        Redeclaration(
            testDescription: "another CA first", name: "app.example.com", from: "issuers: [a]", to: "issuers: [b, a]",
            action: .issue),
        Redeclaration(
            testDescription: "aliases in another order", name: "app.example.com",
            from: "[w.example.com, v.example.com]",
            to: "[v.example.com, w.example.com]", action: .update),
        Redeclaration(
            testDescription: "a CA to fall back on, when it is due", name: "app.example.com", from: "issuers: [a]",
            to: "issuers: [a, b]", day: 80, action: .issue),
    ]

    @Test("A certificate is reissued only if its declaration asks for a different one", arguments: redeclarations)
    func redeclaration(_ example: Redeclaration) throws {
        let plan = Planner(
            try Self.configuration(Self.issued.replacing(example.from, with: example.to)),
            against: try Self.snapshotOfIssued(), now: example.day * Self.day
        ).plan()
        let change = plan.changes.first { $0.item == ItemID(.certificate, example.name) }
        #expect(change?.action == example.action)
        #expect(change?.fields.isEmpty == false)
    }

    @Test("Renaming an issuer reissues nothing, but another CA does")
    func renamedIssuer() throws {
        func actions(_ text: String) throws -> [Action] {
            Planner(try Self.configuration(text), against: try Self.snapshotOfIssued(), now: Self.day).plan().changes
                .filter { $0.item.kind == .certificate }.map(\.action)
        }
        let renamed = Self.issued.replacing("  a: {", with: "  z: {").replacing("issuer: a,", with: "issuer: z,")
            .replacing("issuers: [a]", with: "issuers: [z]")
        #expect(try actions(renamed) == [.update, .update])
        #expect(try actions(renamed.replacing("ecdsa-p384", with: "ecdsa-p256")) == [.issue, .issue])
        #expect(try actions(renamed.replacing("  z: {", with: "  a: { type: local_ca }\n  z: {")) == [.issue, .issue])
    }

    @Test("A due certificate is issued when auto_renew is turned on again")
    func turnedOnWhenDue() throws {
        var snapshot = try Self.snapshotOfIssued()
        let off = Self.issued.replacing("c.example.com] }", with: "c.example.com], auto_renew: false }")
        let id = ItemID(.certificate, "shop")
        let stored = try #require(Self.snapshot(of: try Self.configuration(off)).items[id])
        snapshot.items[id]?.record = stored.record
        snapshot.items[id]?.certificate?.autoRenew = false
        func action(_ day: Int64) throws -> Action? {
            Planner(try Self.configuration(Self.issued), against: snapshot, now: day * Self.day).plan().changes
                .first { $0.item == id }?.action
        }
        #expect(try action(1) == .update)
        #expect(try action(80) == .issue)
    }

    @Test("A disabled host orders nothing, whatever changes, until it is enabled")
    func disabledHostChanges() throws {
        let file = """
            version: 1
            issuers:
              one: { type: acme, directory: "https://one.example.com/dir" }
              two: { type: acme, directory: "https://two.example.com/dir" }
            hosts: [{ domain: a.test, aliases: [b.test], respond: {}, ssl_mode: letsencrypt, issuers: [one] }]

            """
        var snapshot = Self.snapshot(of: try Self.configuration(file))
        snapshot.items[ItemID(.certificate, "a.test")]?.certificate = CertificateFacts(
            domains: ["a.test", "b.test"], source: .letsencrypt, issuerCommonName: "CA", notBefore: 0,
            expiresAt: 90 * Self.day, autoRenew: true, createdAt: 0, fingerprint: "",
            directory: "https://one.example.com/dir")
        func actions(_ text: String) throws -> [Action] {
            Planner(try Self.configuration(text), against: snapshot, now: Self.day).plan().changes.map(\.action)
        }
        for (from, to) in [("[one]", "[two]"), ("aliases: [b.test], ", ""), ("[b.test]", "[b.test, c.test]")] {
            let changed = file.replacing(from, with: to)
            #expect(try actions(changed) == [.issue, .update])
            #expect(try actions(changed.replacing("respond: {}", with: "respond: {}, enabled: false")) == [.update])
        }
        // A change that needs no order is recorded.
        let more = file.replacing("[one]", with: "[one, two]")
        #expect(try actions(more.replacing("respond: {}", with: "respond: {}, enabled: false")) == [.update, .update])
    }

    @Test(
        "Disabling more than half of at least ten hosts counts like deleting them",
        arguments: [(0, 5, false), (0, 6, true), (3, 3, true), (3, 2, false), (10, 0, true)])
    func disabling(_ deleted: Int, _ disabled: Int, _ isMass: Bool) throws {
        func text(_ hosts: Range<Int>, disabled: Int) -> String {
            let list = hosts.map { "{ domain: h\($0).test, respond: {}, enabled: \($0 >= disabled) }" }
            return "version: 1\nhosts: [\(list.joined(separator: ", "))]\n"
        }
        let before = Self.snapshot(of: try Self.configuration(text(0..<10, disabled: 0)))
        let after = try Self.configuration(text(deleted..<10, disabled: deleted + disabled))
        let plan = Planner(after, against: before, now: 0).plan()
        let mass = Plan.MassDeletion(lost: deleted + disabled, of: 10)
        #expect((mass != nil) == isMass)
        #expect(plan.massDeletion == mass)
        // Hosts that are already disabled are not counted.
        let again = Planner(after, against: Self.snapshot(of: after), now: 0).plan()
        #expect(again.massDeletion == nil)
    }

    @Test(
        "Only enabled hosts count for the limit on deletions",
        arguments: [
            (enabled: 10, disabled: 40, goes: 0..<10, isMass: true), (10, 40, 10..<50, false), (10, 40, 0..<5, false),
            (10, 40, 4..<50, true), (9, 40, 0..<9, false), (30, 20, 0..<16, true),
        ])
    func servedHosts(_ enabled: Int, _ disabled: Int, _ gone: Range<Int>, _ isMass: Bool) throws {
        func text(_ hosts: [Int], enabled: (Int) -> Bool) -> String {
            let list = hosts.map { "{ domain: h\($0).test, respond: {}, enabled: \(enabled($0)) }" }
            return "version: 1\nhosts: [\(list.joined(separator: ", "))]\n"
        }
        let all = Array(0..<enabled + disabled)
        let before = Self.snapshot(of: try Self.configuration(text(all) { $0 < enabled }))
        let count = gone.clamped(to: 0..<enabled).count
        let deleting = try Self.configuration(text(all.filter { !gone.contains($0) }) { $0 < enabled })
        let deletion = isMass ? Plan.MassDeletion(lost: count, of: enabled) : nil
        #expect((deletion != nil) == isMass)
        #expect(Planner(deleting, against: before, now: 0).plan().massDeletion == deletion)
        // Disabling hosts counts like deleting them. New hosts do not compensate for them.
        let disabling = try Self.configuration(text(all) { $0 < enabled && !gone.contains($0) || $0 == all.last })
        #expect(Planner(disabling, against: before, now: 0).plan().massDeletion == deletion)
    }

    @Test(
        "The limit on deletions counts names, whatever host has them",
        arguments: [
            // The 20 aliases of one host are dropped, or some of them.
            ("[a: 0-20]", "[a:]", 20, 21), ("[a: 0-20]", "[a: 0-10]", 0, 21), ("[a: 0-20]", "[a: 0-9]", 11, 21),
            // A name that moves to another host stays in service, as do names that become aliases.
            ("[a: 0-20]", "[b: 0-20]", 0, 21), ("[0:][1:][2:][3:][4:][5:][6:][7:][8:][9:]", "[0: 1-10]", 0, 10),
            ("[a: 0-5][b: 5-10]", "[a: 0-5][c: 5-10]", 0, 12), ("[a: 0-5][b: 5-11]", "[a: 0-5]", 7, 13),
            ("[a: 0-5][b: 5-11]", "[a: 0-5][-b: 5-11]", 7, 13), ("[a: 0-5][-b: 5-11]", "[a: 0-5]", 0, 6),
            ("[a: 0-8]", "[b:]", 0, 9), ("[a: 0-9]", "[b:]", 10, 10), ("[a: 0-9]", "[-a:][b: 0-9]", 0, 10),
        ])
    func namesOfHosts(_ before: String, _ after: String, _ lost: Int, _ total: Int) throws {
        /// `[a: 0-3]` is a host with the aliases h0 to h2, and a host with `-` is disabled.
        func file(_ hosts: String) throws -> Configuration {
            let list = hosts.split(separator: "]").map { host in
                let parts = host.dropFirst().split(separator: ":")
                let name = parts[0].drop { $0 == "-" }
                let ends = parts.count > 1 ? parts[1].dropFirst().split(separator: "-").compactMap { Int($0) } : []
                let aliases = ends.isEmpty ? [] : (ends[0]..<ends[1]).map { "h\($0).test" }
                let domain = name.allSatisfy(\.isNumber) ? "h\(name)" : name
                return "{ domain: \(domain).test, aliases: [\(aliases.joined(separator: ", "))], respond: {}, "
                    + "enabled: \(!parts[0].hasPrefix("-")) }"
            }
            return try Self.configuration("version: 1\nhosts: [\(list.joined(separator: ", "))]\n")
        }
        let plan = Planner(try file(after), against: Self.snapshot(of: try file(before)), now: 0).plan()
        #expect(plan.massDeletion == (lost == 0 ? nil : Plan.MassDeletion(lost: lost, of: total)))
        #expect((plan.massDeletion != nil) == (lost > 0))
    }

    struct Purge: Sendable {
        var day: Int64
        var retention = "30d"
        var reason: String?
    }

    @Test(
        "The deletion of a kept certificate is a change, even if it is the only one",
        arguments: [
            Purge(day: 39), Purge(day: 40, reason: "state.retention is over"),
            Purge(day: 11, retention: "0", reason: "state.retention is over"), Purge(day: 11, retention: "2d"),
            Purge(day: 13, retention: "2d", reason: "state.retention is over"), Purge(day: 89, retention: "365d"),
            Purge(day: 90, retention: "365d", reason: "it has expired"),
        ])
    func purge(_ example: Purge) throws {
        let text = "version: 1\nstate: { retention: \(example.retention) }\n"
        var snapshot = Self.snapshot(of: try Self.configuration(text))
        snapshot.kept = try Self.snapshotWithKept().kept
        let plan = Planner(try Self.configuration(text), against: snapshot, now: example.day * Self.day).plan()
        #expect(plan.isEmpty == (example.reason == nil))
        #expect(plan.count(of: .delete) == (example.reason == nil ? 0 : 1))
        let reason = example.reason.map {
            "kept since 1970-01-11 00:00:00 UTC, to be used if the file names it again; \($0)"
        }
        #expect(plan.changes.first?.reason == reason)
    }

    @Test("A new certificate that replaces a kept one needs no separate change")
    func purgeBesideIssue() throws {
        let plan = Planner(try Self.configuration(), against: try Self.snapshotWithKept(), now: 50 * Self.day).plan()
        #expect(plan.changes.filter { $0.item == ItemID(.certificate, "app.example.com") }.map(\.action) == [.issue])
    }

    struct Renaming: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var from: String
        var to: String
        var name: String
        var former: String
        var day: Int64 = 1
        var isUsed = true
    }

    static let renamings = [
        Renaming(testDescription: "an entry", from: "shop: {", to: "store: {", name: "store", former: "shop"),
        Renaming(testDescription: "Cloudflare's", from: "origin: {", to: "other: {", name: "other", former: "origin"),
        Renaming(
            testDescription: "a host's, as a named one",
            from: "respond: {}, ssl_mode: letsencrypt, issuers: [a] }",
            to: "respond: {}, ssl_mode: custom, certificate: own }", name: "own", former: "app.example.com"),
        Renaming(
            testDescription: "an entry that is due", from: "shop: {", to: "store: {", name: "store", former: "shop",
            day: 80,
            isUsed: false),
        Renaming(
            testDescription: "an entry with a name more", from: "shop: { issuer: a, domains: [",
            to: "store: { issuer: a, domains: [d.example.com, ",
            name: "store", former: "shop", isUsed: false),
        Renaming(
            testDescription: "an entry of another CA", from: "shop: { issuer: a,", to: "store: { issuer: b,",
            name: "store",
            former: "shop", isUsed: false),
    ]

    @Test("A certificate moves to a new entry with the same names", arguments: renamings)
    func renaming(_ example: Renaming) throws {
        var text = Self.issued.replacing(example.from, with: example.to)
        if example.name == "own" {
            text = text.replacing(
                "certificates:",
                with: "certificates:\n  own: { issuer: a, domains: [app.example.com, v.example.com, w.example.com] }")
        }
        let plan = Planner(
            try Self.configuration(text), against: try Self.snapshotOfIssued(), now: example.day * Self.day
        ).plan()
        let change = try #require(plan.changes.first { $0.item == ItemID(.certificate, example.name) })
        let former = try #require(plan.changes.first { $0.item == ItemID(.certificate, example.former) })
        #expect(change.action == (example.isUsed ? .create : .issue))
        #expect(change.predecessor == (example.isUsed ? example.former : nil))
        #expect(former.action == .delete && former.isPassedOn == example.isUsed)
        #expect(former.isKept != example.isUsed)
        if example.isUsed { #expect(former.reason == "no longer in the file; it becomes '\(example.name)'") }
    }

    @Test("A kept certificate also moves to a new entry, but only to one")
    func renamingKept() throws {
        var snapshot = try Self.snapshotOfIssued()
        let id = ItemID(.certificate, "shop")
        snapshot.kept["shop"] = KeptCertificate(item: try #require(snapshot.items[id]), since: 0)
        snapshot.items[id] = nil
        let entry = "{ issuer: a, domains: [a.example.com, b.example.com, c.example.com] }"
        let text = Self.issued.replacing("shop: {", with: "one: \(entry)\n  two: {")
        let plan = Planner(try Self.configuration(text), against: snapshot, now: Self.day).plan()
        let changes = plan.changes.filter { ["one", "two", "shop"].contains($0.item.name) }
        #expect(changes.map(\.action) == [.create, .issue])
        #expect(changes.map(\.predecessor) == ["shop", nil])
    }
}
