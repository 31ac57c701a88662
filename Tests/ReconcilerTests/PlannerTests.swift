import ConfigModel
import State
import TestSupport
import Testing

@testable import Reconciler

/// The plan is a pure function of the file and the state. These tests compare its whole output.
@Suite struct PlannerTests {
    static let file = """
        version: 1
        node:
          address: "edge-1.example.com:8444"
          identity: mesh
          allow: [{ san: "*.ci.example.com", scope: write }]
        identities:
          mesh: { source: vault, vault: main, pki: { role: node, common_name: edge-1.example.com } }
        vaults:
          main: { address: "https://vault.example.com", auth: { method: token, token: canary } }
        alerts: { webhook: { url: "https://alerts.example.com", token: canary } }
        issuers:
          letsencrypt: { type: acme, directory: "https://ca.example.com/dir" }
          lan: { type: local_ca }
        certificates:
          shop: { source: custom, cert: { file: shop.pem }, key: { file: shop.key } }
          nas: { issuer: lan, domains: [nas.internal] }
        edge_certificates:
          - { name: edge, zone_id: 0123456789abcdef0123456789abcdef, api_token: { env: CF }, hosts: [example.com] }
        hosts:
          - domain: app.example.com
            aliases: [www.example.com]
            upstreams: ["http://127.0.0.1:3000"]
            ssl_mode: letsencrypt
            hsts: { max_age: 300 }
          - domain: shop.example.com
            upstreams: ["http://127.0.0.1:4000"]
            ssl_mode: custom
            certificate: shop
            client_auth: { identity: mesh, crl_files: [clients.crl] }
        """

    static func configuration(_ text: String = file) throws -> Configuration {
        try #require(Configuration.parse(SourceText(name: "x", text)).configuration)
    }

    /// The state after an apply of a configuration.
    static func snapshot(of configuration: Configuration, generation: Int = 7) -> StateSnapshot {
        var items: [ItemID: StoredItem] = [:]
        configuration.forEachItem(materials: [:]) {
            items[$0.id] = StoredItem(owner: .file, record: configuration.record(of: $0))
        }
        return StateSnapshot(generation: generation, items: items)
    }

    private static func golden(_ plan: Plan, _ name: String) throws {
        let text = String(decoding: PlanTextRenderer().text(plan), as: UTF8.self)
        let json = String(decoding: PlanJSONRenderer().json(plan, warnings: .list([])), as: UTF8.self)
        let folder = Repository.path("Tests/ReconcilerTests/Golden")
        #expect(text == (try Golden.expected(at: "\(folder)/\(name).txt", recording: text)))
        #expect(json == (try Golden.expected(at: "\(folder)/\(name).json", recording: json)))
    }

    @Test("Against an empty state, everything is created")
    func everythingIsNew() throws {
        let materials = ["shop": CertificateMaterial.unreadable("known after apply")]
        try Self.golden(Planner(Self.configuration(), against: .empty, materials: materials, now: 0).plan(), "new")
    }

    @Test("Against the state of the same file, nothing changes")
    func nothingToDo() throws {
        let configuration = try Self.configuration()
        let plan = Planner(configuration, against: Self.snapshot(of: configuration), now: 0).plan()
        #expect(plan.isEmpty)
        try Self.golden(plan, "nothing")
    }

    @Test("Changes are shown field by field, with old and new values")
    func changes() throws {
        let text = Self.file
            .replacing("aliases: [www.example.com]", with: "balance: ip_hash")
            .replacing("hsts: { max_age: 300 }", with: "timeouts: { read: 30s }")
            .replacing("file: shop.pem", with: "env: SHOP_PEM")
            .replacing("[nas.internal]", with: "[nas.internal, nas2.internal]")
            .replacing("hosts: [example.com]", with: "hosts: [example.com, \"*.example.com\"]")
            .replacing("token: canary }", with: "token: canary2 }")
            .replacing("scope: write }", with: "scope: read }")
            .replacing("role: node,", with: "role: node, ttl: 12h,")
            .replacing("alerts: {", with: "alerts: { expiry: [14d],")
            .replacing("crl_files: [clients.crl]", with: "required_sans: [a.example.com]")
        let before = Self.snapshot(of: try Self.configuration())
        try Self.golden(Planner(Self.configuration(text), against: before, now: 0).plan(), "changes")
    }

    @Test(
        "All differences are shown: elements of lists, the middle of long texts, secrets as changed")
    func longValues() throws {
        func text(_ names: [String], _ proxies: [String], _ policy: String, _ key: String, _ headers: String) -> String
        {
            """
            version: 1
            gateway: { trusted_proxies: [\(proxies.joined(separator: ", "))] }
            issuers:
              le: { type: acme, directory: "https://ca.example.com/dir" }
              other: { type: acme, directory: "https://other.example.com/dir", eab: { kid: x, hmac_key: \(key) } }
              lan: { type: local_ca }
            certificates:
              nas: { issuer: lan, domains: [\(names.joined(separator: ", "))] }
            hosts:
              - domain: app.example.com
                upstreams: ["http://127.0.0.1:3000", "http://127.0.0.1:3001", "http://127.0.0.1:3002"]
                headers: { response: { set: { \(headers), Content-Security-Policy: "\(policy)" } } }
            """
        }
        let names = (1...9).map { "name-\($0).internal.example.com" }
        let proxies = (1...12).map { "192.0.2.\($0)" }
        let policy = "default-src 'self'; img-src 'self' data:; font-src 'self' https://fonts.example.com; object-src"
        let before = try Self.configuration(text(names, proxies, "\(policy) 'none'", "canary10", "X-A: é, X-B: b"))
        let after = try Self.configuration(
            text(
                Array(names[..<8]) + ["name-10.internal.example.com"], proxies + ["0.0.0.0/0"], "\(policy) *",
                "canary20",
                "X-B: b, X-A: e\u{301}"
            ).replacing(
                "3000\", \"http://127.0.0.1:3001\", \"http://127.0.0.1:3002",
                with: "3002\", \"http://127.0.0.1:3000\", \"http://127.0.0.1:3001"))
        try Self.golden(Planner(after, against: Self.snapshot(of: before), now: 0).plan(), "long")
    }

    @Test("Items that the file no longer names are deleted, dependants first; the API's stay")
    func deletions() throws {
        var before = Self.snapshot(of: try Self.configuration())
        before.items[ItemID(.host, "api.example.com")] = StoredItem(owner: .api, record: [])
        try Self.golden(Planner(Self.configuration("version: 1\n"), against: before, now: 0).plan(), "deletions")
    }

    @Test("Moving, reformatting or commenting items changes nothing")
    func formIsNotContent() throws {
        let configuration = try Self.configuration()
        let moved = try Self.configuration(
            "# a comment\n"
                + Self.file.replacing(
                    "upstreams: [\"http://127.0.0.1:3000\"]", with: "upstreams:\n      - HTTP://127.0.0.1:3000/"))
        #expect(Planner(moved, against: Self.snapshot(of: configuration), now: 0).plan().isEmpty)
    }

    @Test("A disabled host gets no new certificate, and keeps the present one")
    func disabledHost() throws {
        let enabled = try Self.configuration()
        let disabled = try Self.configuration(
            Self.file.replacing("ssl_mode: letsencrypt", with: "ssl_mode: letsencrypt\n    enabled: false"))
        let certificate = ItemID(.certificate, "app.example.com")
        #expect(!Planner(disabled, against: .empty, now: 0).plan().changes.contains { $0.item == certificate })
        let plan = Planner(disabled, against: Self.snapshot(of: enabled), now: 0).plan()
        #expect(plan.changes.map(\.item) == [ItemID(.host, "app.example.com")])
    }

    @Test("An unreadable record is replaced, and all fields are shown")
    func unreadableRecord() throws {
        let configuration = try Self.configuration()
        var before = Self.snapshot(of: configuration)
        before.items[ItemID(.host, "app.example.com")]?.record = Array("{\"from\":\"the future\"}".utf8)
        let plan = Planner(configuration, against: before, now: 0).plan()
        #expect(plan.changes.map(\.action) == [.update])
        #expect(plan.changes[0].fields.allSatisfy { $0.before == .null })
    }

    @Test("Values can't control a terminal or break a line")
    func controlCharacters() throws {
        let text = "version: 1\nhosts:\n  - { domain: a.example.com, respond: { body: \"\\e[31m\\nred\" } }\n"
        let plan = Planner(try Self.configuration(text), against: .empty, now: 0).plan()
        let rendered = String(decoding: PlanTextRenderer().text(plan), as: UTF8.self)
        #expect(rendered.contains(#"\u{1B}[31m\nred"#))
        #expect(!rendered.contains("\u{1B}"))
    }

    @Test("Many hosts, compared in parallel, give changes in the order of the file")
    func veryManyHosts() throws {
        func text(_ hosts: some Sequence<Int>, changed: Set<Int> = []) -> String {
            hosts.reduce(into: "version: 1\nhosts:\n") { text, number in
                let status = changed.contains(number) ? 201 : 200
                text += "  - { domain: host-\(number).example.com, respond: { status: \(status) } }\n"
            }
        }
        let before = Self.snapshot(of: try Self.configuration(text(0..<10_001)))
        let after = try Self.configuration(text((1..<10_001).reversed(), changed: [3, 4_999, 10_000]))
        let plan = Planner(after, against: before, now: 0).plan()
        #expect(plan.changes.map(\.item.name) == [10_000, 4_999, 3, 0].map { "host-\($0).example.com" })
        #expect(plan.changes.map(\.action) == [.update, .update, .update, .delete])
        #expect(plan.changes.first?.fields.map(\.path) == ["respond.status"])
    }

    @Test(
        "A header value that is secret by its name appears in no plan",
        arguments: [
            "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Auth-Token", "X-Api-Key",
            "Ocp-Apim-Subscription-Key", "X-Client-Secret",
        ])
    func secretHeaders(_ name: String) throws {
        func configuration(_ value: String) throws -> Configuration {
            try Self.configuration(
                """
                version: 1
                hosts:
                  - domain: a.example.com
                    respond: {}
                    headers: { request: { set: { \(name): \(value) } }, response: { set: { \(name): \(value) } } }
                """)
        }
        let before = try configuration("canary1")
        for plan in [
            Planner(before, against: .empty, now: 0).plan(),
            Planner(try configuration("canary2"), against: Self.snapshot(of: before), now: 0).plan(),
        ] {
            let outputs = [PlanTextRenderer().text(plan), PlanJSONRenderer().json(plan, warnings: .list([]))]
            for output in outputs.map({ String(decoding: $0, as: UTF8.self) }) {
                #expect(output.contains("a.example.com"))
                #expect(!output.contains("canary"), "\(output)")
            }
        }
    }

    // MARK: Stored certificates

    static let day: Int64 = 86_400

    /// The state with a 90-day certificate `nas` and a custom `shop`, from day 0.
    static func snapshotWithCertificates() throws -> StateSnapshot {
        var snapshot = Self.snapshot(of: try configuration())
        for (name, source) in [("nas", CertificateFacts.Source.localCA), ("shop", .custom)] {
            snapshot.items[ItemID(.certificate, name)]?.certificate = CertificateFacts(
                domains: ["x"], source: source, issuerCommonName: "CA", notBefore: 0, expiresAt: 90 * day,
                autoRenew: source != .custom, createdAt: 0, fingerprint: "", sourceDigest: [1])
        }
        return snapshot
    }

    @Test(
        "A certificate is renewed when a third of its lifetime is left, or a little before",
        arguments: [(48, nil), (60, "expires in 30 days"), (89, "expires in 1 day"), (91, "has expired")])
    func renewal(_ days: Int64, _ reason: String?) throws {
        let plan = Planner(try Self.configuration(), against: try Self.snapshotWithCertificates(), now: days * Self.day)
            .plan()
        #expect(plan.changes.map(\.action) == (reason == nil ? [] : [.renew]))
        #expect(plan.changes.first?.reason == reason)
    }

    @Test("A failed renewal is planned at once, since the operator may have removed its cause")
    func failedRenewal() throws {
        var snapshot = try Self.snapshotWithCertificates()
        snapshot.renewals["nas"] = RenewalProgress(certificate: "nas")
        snapshot.renewals["nas"]?.nextTryAt = 70 * Self.day
        let plan = Planner(try Self.configuration(), against: snapshot, now: 69 * Self.day).plan()
        #expect(plan.changes.map(\.action) == [.renew])
    }

    @Test("A revoked certificate is reissued unless auto_renew is false, and is not kept when deleted")
    func loss() throws {
        var snapshot = try Self.snapshotWithCertificates()
        let id = ItemID(.certificate, "nas")
        snapshot.items[id]?.certificate?.loss = "was revoked on a day"
        let changes = Planner(try Self.configuration(), against: snapshot, now: Self.day).plan().changes
        #expect(changes.map(\.item) == [id])
        #expect(changes.map(\.action) == [.issue])
        #expect(changes.first?.reason == "was revoked on a day")
        snapshot.items[id]?.certificate?.source = .letsencrypt
        let none = Planner(try Self.configuration("version: 1\n"), against: snapshot, now: Self.day).plan()
        #expect(none.changes.first { $0.item == id }?.reason == "no longer in the file")
        snapshot.items[id]?.certificate?.autoRenew = false
        #expect(Planner(try Self.configuration(), against: snapshot, now: Self.day).plan().isEmpty)
    }

    @Test("An order without a certificate is deleted when the file no longer names the certificate")
    func leftovers() throws {
        var snapshot = Self.snapshot(of: try Self.configuration())
        snapshot.items[ItemID(.certificate, "nas")] = nil
        for name in ["nas", "app.example.com", "shop.example.com", "gone"] {
            snapshot.renewals[name] = RenewalProgress(certificate: name)
        }
        let changes = Planner(try Self.configuration(), against: snapshot, now: 0).plan().changes
        #expect(changes.map(\.item.name) == ["nas", "gone"])
        #expect(changes.map(\.action) == [.issue, .delete])
    }

    @Test(
        "A certificate from the issuer's former directory is reissued; one from an unknown directory stays",
        arguments: [("https://ca.example.com/dir", false), ("https://staging.example.com/dir", true), ("", false)])
    func movedDirectory(_ directory: String, _ isMoved: Bool) throws {
        var snapshot = Self.snapshot(of: try Self.configuration())
        snapshot.items[ItemID(.certificate, "app.example.com")]?.certificate = CertificateFacts(
            domains: ["app.example.com", "www.example.com"], source: .letsencrypt, issuerCommonName: "CA",
            notBefore: 0, expiresAt: 90 * Self.day, autoRenew: true, createdAt: 0, fingerprint: "",
            directory: directory)
        let changes = Planner(try Self.configuration(), against: snapshot, now: 0).plan().changes
        #expect(changes.map(\.action) == (isMoved ? [.issue] : []))
        #expect(changes.first?.reason == (isMoved ? "its issuer's directory is another now" : nil))
    }

    @Test("An own certificate is uploaded again when its PEM has changed")
    func changedText() throws {
        func plan(_ digest: [UInt8]) throws -> Plan {
            let materials = ["shop": CertificateMaterial.readable(digest: digest)]
            return Planner(
                try Self.configuration(), against: try Self.snapshotWithCertificates(), materials: materials, now: 0
            ).plan()
        }
        #expect(try plan([1]).isEmpty)
        let changes = try plan([2]).changes
        #expect(changes.map(\.item) == [ItemID(.certificate, "shop")])
        #expect(changes.map(\.action) == [.upload])
    }

    @Test("Items that another host still uses are not deleted")
    func certificateInUse() throws {
        var before = try Self.snapshotWithCertificates()
        let record = """
            {"domain":"api.example.com","respond":{},"ssl_mode":"custom","certificate":"nas",\
            "client_auth":{"identity":"mesh"}}
            """
        let used = [
            ItemID(.vault, "main"), ItemID(.identity, "mesh"), ItemID(.issuer, "lan"), ItemID(.certificate, "nas"),
            ItemID(.host, "api.example.com"),
        ]
        before.items[used[4]] = StoredItem(owner: .api, record: Array(record.utf8))
        let plan = Planner(try Self.configuration("version: 1\n"), against: before, now: 0).plan()
        #expect(!plan.changes.contains { used.contains($0.item) })
        #expect(plan.unmanaged == used)
    }

    @Test(
        "Deleting more than half of at least ten of the file's hosts is marked in the plan",
        arguments: [(10, 5, false), (10, 6, true), (9, 9, false), (50, 50, true), (11, 5, false), (11, 6, true)])
    func massDeletion(_ total: Int, _ deleted: Int, _ isMass: Bool) throws {
        func text(_ hosts: Range<Int>) -> String {
            let list = hosts.map { "{ domain: h\($0).test, respond: {} }" }.joined(separator: ", ")
            return "version: 1\nhosts: [\(list)]\n"
        }
        var before = Self.snapshot(of: try Self.configuration(text(0..<total)))
        before.items[ItemID(.host, "api.test")] = StoredItem(owner: .api, record: [])
        let plan = Planner(try Self.configuration(text(deleted..<total)), against: before, now: 0).plan()
        #expect(plan.massDeletion == (isMass ? Plan.MassDeletion(lost: deleted, of: total) : nil))
        #expect((plan.massDeletion != nil) == isMass)
    }
}
