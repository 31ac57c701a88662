import ConfigModel
import State
import Testing

@testable import Reconciler

/// Items of the file and of the admin API, which share one space of names and the same rules.
extension PlannerTests {
    struct Conflict: Sendable {
        let file: String
        /// The items of the API: kind, name and record.
        let owned: [(ItemKind, String, String)]
        /// The conflicts in the plan, each with its line in the file. Empty if there is none.
        let told: [String]
    }

    static let conflicts: [Conflict] = [
        Conflict(
            file: "hosts:\n  - { domain: app.test, aliases: [www.test], respond: {} }",
            owned: [(.host, "www.test", #"{"domain":"www.test","respond":{}}"#)],
            told: ["3: 'www.test' is claimed by host 'www.test', which the admin API owns"]),
        Conflict(
            file: "hosts:\n  - { domain: www.test, respond: {} }",
            owned: [(.host, "api.test", #"{"domain":"api.test","aliases":["www.test"],"respond":{}}"#)],
            told: ["3: 'www.test' is claimed by host 'api.test', which the admin API owns"]),
        Conflict(
            file: "hosts:\n  - { domain: a.test, aliases: [www.test], respond: {} }",
            owned: [(.host, "api.test", #"{"domain":"api.test","aliases":["www.test"],"respond":{}}"#)],
            told: ["3: 'www.test' is claimed by host 'api.test', which the admin API owns"]),
        Conflict(
            file: "hosts:\n  - { domain: \"*.a.test\", respond: {} }",
            owned: [(.host, "api.a.test", #"{"domain":"api.a.test","respond":{}}"#)], told: []),
        // The host's own certificate has the host's name.
        Conflict(
            file: """
                issuers: { letsencrypt: { type: acme, directory: "https://ca.example.com/dir" } }
                hosts:
                  - { domain: app.test, respond: {}, ssl_mode: letsencrypt }
                """,
            owned: [(.certificate, "app.test", #"{"source":"custom","cert":{"inline":"0"},"key":{"inline":"0"}}"#)],
            told: [
                "4: certificate 'app.test', which the admin API owns, has the name of the one made for this host"
            ]),
        Conflict(
            file: "certificates: { app.test: { source: custom, cert: { file: a }, key: { file: b } } }",
            owned: [(.host, "app.test", #"{"domain":"app.test","respond":{},"ssl_mode":"letsencrypt"}"#)],
            told: [
                "0: host 'app.test', which the admin API owns, would be faulty: certificate 'app.test' has the name of the one made for this host",
                "0: host 'app.test', which the admin API owns, would be faulty: there is no issuer 'letsencrypt', and the host names no other",
            ]),
        // A certificate loses a name that the API's host needs.
        Conflict(
            file: """
                issuers: { lan: { type: local_ca } }
                certificates: { site: { issuer: lan, domains: [other.test] } }
                """,
            owned: [
                (.host, "app.test", #"{"domain":"app.test","respond":{},"ssl_mode":"custom","certificate":"site"}"#)
            ],
            told: [
                "0: host 'app.test', which the admin API owns, would be faulty: certificate 'site' does not cover 'app.test'"
            ]),
        Conflict(
            file: "gateway: { http: [\":8080\"] }",
            owned: [
                (.certificate, "own", #"{"source":"custom","cert":{"inline":"0"},"key":{"inline":"0"}}"#),
                (.host, "app.test", #"{"domain":"app.test","respond":{},"ssl_mode":"custom","certificate":"own"}"#),
            ], told: []),
        // A record that can't be read hides no other fault.
        Conflict(
            file: "certificates: { app.test: { source: custom, cert: { file: a }, key: { file: b } } }",
            owned: [
                (.host, "0.test", ""),
                (.host, "app.test", #"{"domain":"app.test","respond":{},"ssl_mode":"custom","certificate":"gone"}"#),
            ],
            told: [
                "0: host 'app.test', which the admin API owns, would be faulty: unknown certificate 'gone'"
            ]),
    ]

    @Test("The file's items and the admin API's are checked by the same rules", arguments: conflicts.indices)
    func refusedFiles(_ index: Int) throws {
        let sample = Self.conflicts[index]
        var before = StateSnapshot.empty
        for (kind, name, record) in sample.owned {
            before.items[ItemID(kind, name)] = StoredItem(owner: .api, record: Array(record.utf8))
        }
        let plan = Planner(try Self.configuration("version: 1\n" + sample.file), against: before, now: 0).plan()
        #expect(plan.conflicts.map { "\($0.position.line): \($0.message)" } == sample.told)
        #expect(plan.conflicts.allSatisfy { $0.severity == .error && $0.hint != nil })
    }

    struct Adoption: Sendable {
        var file: String
        var record: String
        /// The paths of the fields that change.
        var fields: [String] = []
    }

    @Test(
        "A host of the admin API that the file declares becomes the file's, and the plan says adopt",
        arguments: [
            Adoption(file: "{ domain: app.test, respond: {} }", record: #"{"domain":"app.test","respond":{}}"#),
            Adoption(
                file: "{ domain: app.test, aliases: [www.test], respond: { body: x } }",
                record: #"{"domain":"app.test","aliases":["www.test"],"respond":{}}"#, fields: ["respond.body"]),
        ])
    func adoptedHosts(_ sample: Adoption) throws {
        let id = ItemID(.host, "app.test")
        var before = StateSnapshot.empty
        before.items[id] = StoredItem(owner: .api, record: Array(sample.record.utf8))
        let configuration = try Self.configuration("version: 1\nhosts:\n  - \(sample.file)")
        let plan = Planner(configuration, against: before, now: 0).plan()
        #expect(plan.conflicts.isEmpty && plan.unmanaged.isEmpty)
        let change = try #require(plan.changes.first { $0.item == id })
        #expect(change.action == .adopt && change.fields.map(\.path) == sample.fields)
        let text = String(decoding: PlanTextRenderer().text(plan), as: UTF8.self)
        #expect(text.contains("  ~ host app.test: adopt (the admin API owns it so far)\n"))
        #expect(text.contains("1 to adopt"))
    }

    /// A state with one certificate, which was uploaded by the admin API.
    private static func uploaded(_ id: ItemID) -> StateSnapshot {
        var state = StateSnapshot.empty
        state.items[id] = StoredItem(
            owner: .api, record: Array(#"{"source":"custom","cert":{"inline":"0"},"key":{"inline":"0"}}"#.utf8),
            certificate: CertificateFacts(
                domains: ["a.test"], source: .custom, issuerCommonName: "CA", notBefore: 0, expiresAt: 90 * day,
                autoRenew: false, createdAt: 0, fingerprint: "", sourceDigest: [1]))
        return state
    }

    @Test("A certificate of the admin API becomes the file's, and is stored again only if it differs")
    func adoptedCertificates() throws {
        let id = ItemID(.certificate, "site")
        let before = Self.uploaded(id)
        let configuration = try Self.configuration(
            "version: 1\ncertificates: { site: { source: custom, cert: { file: a }, key: { file: b } } }")
        for (digest, work) in [([UInt8(1)], Action.adopt), ([2], .upload)] {
            let plan = Planner(
                configuration, against: before, materials: ["site": .readable(digest: digest)], now: 0
            ).plan()
            let change = try #require(plan.changes.first { $0.item == id })
            #expect(change.action == .adopt && change.work == work && change.isAtHand == (work == .adopt))
            #expect(change.reason?.hasPrefix("the admin API owns it so far") == true)
            #expect(plan.conflicts.isEmpty)
        }
    }

    @Test("A certificate of the admin API that the file declares with another source is adopted, and is issued")
    func adoptedWithAnotherSource() throws {
        let id = ItemID(.certificate, "mine")
        let before = Self.uploaded(id)
        let configuration = try Self.configuration(
            """
            version: 1
            issuers: { lan: { type: local_ca } }
            certificates: { mine: { issuer: lan, domains: [a.test] } }
            """)
        let plan = Planner(configuration, against: before, now: 0).plan()
        let change = try #require(plan.changes.first { $0.item == id })
        #expect(change.action == .adopt && change.work == .issue && !change.isAtHand)
        #expect(plan.count(of: .adopt) == 1 && plan.count(of: .issue) == 0)
        #expect(Set(change.fields.map(\.path)).isSuperset(of: ["issuer", "domains"]), "\(change.fields)")
        let text = String(decoding: PlanTextRenderer().text(plan), as: UTF8.self)
        #expect(text.contains("certificate mine: adopt (the admin API owns it so far; it is issued"), "\(text)")
    }

    @Test("Items that an item of the admin API depends on are not deleted")
    func neededItems() throws {
        var before = Self.snapshot(of: try Self.configuration())
        let record = #"{"domain":"api.test","respond":{},"ssl_mode":"letsencrypt"}"#
        before.items[ItemID(.host, "api.test")] = StoredItem(owner: .api, record: Array(record.utf8))
        let plan = Planner(try Self.configuration("version: 1\n"), against: before, now: 0).plan()
        #expect(plan.conflicts.isEmpty)
        #expect(!plan.changes.contains { $0.item == ItemID(.issuer, "letsencrypt") })
        #expect(plan.unmanaged == [ItemID(.issuer, "letsencrypt"), ItemID(.host, "api.test")])
        #expect(plan.changes.contains { $0.item == ItemID(.issuer, "lan") && $0.action == .delete })
    }
}
