import ConfigModel
import State
import Testing

@testable import Reconciler

/// When the hosts of a plan are put in force, depending on the certificates that they wait for.
@Suite struct HostScheduleTests {
    private static let now: Int64 = 1_000_000

    private static func configuration(_ body: String) throws -> Configuration {
        let text = """
            version: 1
            issuers:
              letsencrypt:
                type: acme
                directory: "https://ca.example/dir"
                challenge: dns-01
                dns: { provider: webhook, url: "https://hooks.test/", token: { env: TOKEN } }
              lan: { type: local_ca }

            """
        let parsed = Configuration.parse(SourceText(name: "x", text + body))
        return try #require(parsed.configuration, "\(parsed.diagnostics)")
    }

    /// The state with this configuration in force, but without the certificates in `missing`.
    private static func snapshot(
        of configuration: Configuration, without missing: Set<String> = [], expired: Set<String> = []
    ) -> StateSnapshot {
        var items: [ItemID: StoredItem] = [:]
        configuration.forEachItem(materials: [:]) { item in
            guard item.id.kind != .certificate || !missing.contains(item.id.name) else { return }
            var stored = StoredItem(owner: .file, record: configuration.record(of: item))
            if item.id.kind == .certificate {
                let isOver = expired.contains(item.id.name)
                stored.certificate = CertificateFacts(
                    domains: Self.domains(of: item, in: configuration), source: .letsencrypt, issuerCommonName: "CA",
                    notBefore: now - 50_000, expiresAt: isOver ? now - 1 : now + 7_000_000, autoRenew: true,
                    createdAt: now - 50_000, fingerprint: "f")
            }
            items[item.id] = stored
        }
        return StateSnapshot(generation: 1, items: items)
    }

    private static func domains(of item: DeclaredItem, in configuration: Configuration) -> [String] {
        switch item.place {
        case .hostCertificate(let index): return configuration.hosts[index].names.map(\.text)
        case .certificate(let index):
            guard case .issued(let issued) = configuration.certificates[index].source else { return [] }
            return issued.domains.map(\.text)
        default: return []
        }
    }

    /// Which changes are committed at once, and which with each certificate of the plan.
    private static func order(
        from before: String, to after: String, without missing: Set<String> = [], expired: Set<String> = []
    ) throws -> [String] {
        var (plan, schedule) = try schedule(from: before, to: after, without: missing, expired: expired)
        var steps = [Self.step("at once", schedule.ready)]
        for change in plan.changes where change.item.kind == .certificate && change.action != .delete {
            steps.append(step(change.item.name, schedule.release(by: change.item.name)))
        }
        return steps
    }

    private static func schedule(
        from before: String, to after: String, without missing: Set<String> = [], expired: Set<String> = []
    ) throws -> (Plan, HostSchedule) {
        let configuration = try configuration(after)
        let snapshot = snapshot(of: try Self.configuration(before), without: missing, expired: expired)
        let plan = Planner(configuration, against: snapshot, now: now).plan()
        return (plan, HostSchedule(plan, of: configuration, now: now))
    }

    private static func step(_ name: String, _ changes: [Change]) -> String {
        let texts = changes.map { "\($0.action.rawValue) \($0.item.name)" }.sorted()
        return "\(name): \(texts.joined(separator: ", "))"
    }

    @Test("A new host is committed with its certificate; hosts that need none don't wait")
    func newHost() throws {
        let before = "hosts: [{ domain: a.test, respond: {} }, { domain: gone.test, respond: {} }]"
        let after = """
            hosts:
              - { domain: a.test, respond: { status: 201 } }
              - { domain: new.test, respond: {}, ssl_mode: letsencrypt }
              - { domain: idle.test, respond: {}, ssl_mode: letsencrypt, enabled: false }
            """
        #expect(
            try Self.order(from: before, to: after) == [
                "at once: create idle.test, delete gone.test, update a.test", "new.test: create new.test",
            ])
    }

    @Test("A host whose certificate is in force, or that is served without one already, does not wait")
    func hostInForce() throws {
        let before = "hosts: [{ domain: a.test, respond: {}, ssl_mode: letsencrypt }]"
        let after = "hosts: [{ domain: a.test, respond: { status: 201 }, ssl_mode: letsencrypt }]"
        #expect(try Self.order(from: before, to: after, without: ["a.test"]) == ["at once: update a.test", "a.test: "])
        #expect(try Self.order(from: before, to: after, expired: ["a.test"]) == ["at once: update a.test", "a.test: "])
        // The host is not redirected to HTTPS before it has a certificate.
        let forced = "hosts: [{ domain: a.test, respond: {}, ssl_mode: letsencrypt, force_https: true }]"
        #expect(
            try Self.order(from: before, to: forced, without: ["a.test"]) == ["at once: ", "a.test: update a.test"])
    }

    @Test("A host with new names keeps its old form until its new certificate is issued")
    func certificateThatGrows() throws {
        let before = "hosts: [{ domain: a.test, respond: {}, ssl_mode: letsencrypt }]"
        let more = "hosts: [{ domain: a.test, aliases: [b.test], respond: {}, ssl_mode: letsencrypt }]"
        #expect(try Self.order(from: before, to: more) == ["at once: ", "a.test: update a.test"])
        #expect(try Self.order(from: more, to: before) == ["at once: update a.test", "a.test: "])
        let plain = "hosts: [{ domain: a.test, respond: {} }]"
        #expect(try Self.order(from: plain, to: before) == ["at once: ", "a.test: update a.test"])
        #expect(try Self.order(from: before, to: plain) == ["at once: update a.test"])
        let named = """
            certificates: { site: { issuer: lan, domains: [a.test] } }
            hosts: [{ domain: a.test, respond: {}, ssl_mode: custom, certificate: site }]
            """
        #expect(try Self.order(from: before, to: named) == ["at once: ", "site: update a.test"])
        // The host itself is unchanged.
        let larger = named.replacing("[a.test]", with: "[a.test, b.test]")
        #expect(try Self.order(from: named, to: larger) == ["at once: ", "site: "])
    }

    @Test(
        "Changes that need no certificate are in force at once, though the host waits for one",
        arguments: [
            // A new alias, and an alias that another host gives.
            ("a.test, aliases: [b.test], respond: { body: new }, ssl_mode: letsencrypt", "letsencrypt"),
            ("a.test, aliases: [x.test], respond: { body: new }, ssl_mode: letsencrypt", "letsencrypt"),
            ("a.test, respond: { body: new }, ssl_mode: letsencrypt, hsts: { enabled: true }", "none"),
        ])
    func earlyForm(_ host: String, _ mode: String) throws {
        let before = """
            hosts:
              - { domain: a.test, respond: { body: old }, ssl_mode: \(mode) }
              - { domain: c.test, aliases: [x.test], respond: { body: old } }
            """
        let alias = host.contains("x.test") ? "" : "aliases: [x.test], "
        let after = """
            hosts:
              - { domain: \(host) }
              - { domain: c.test, \(alias)respond: { body: new } }
            """
        let schedule = try Self.schedule(from: before, to: after).1
        // The host that gives up a name waits as a whole.
        #expect(schedule.early.map(\.change.item.name) == ["a.test"])
        let early = try #require(schedule.early.first?.host)
        #expect(early.respond?.body == "new" && early.names.map(\.text) == ["a.test"])
        #expect(early.sslMode.rawValue == mode && early.hsts == nil)
        // Without another change there is no early form.
        #expect(try Self.schedule(from: before.replacing("old", with: "new"), to: after).1.early.isEmpty)
    }

    @Test("New answers that need HTTPS or clients' certificates wait for these")
    func noEarlyForm() throws {
        let before = "hosts: [{ domain: a.test, respond: { body: old } }]"
        for key in ["force_https: true", "client_auth: { ca_file: clients.pem }"] {
            let after = "hosts: [{ domain: a.test, respond: { body: new }, ssl_mode: letsencrypt, \(key) }]"
            #expect(try Self.schedule(from: before, to: after).1.early.isEmpty)
        }
    }

    @Test("A name moves between hosts in one commit, together with dependent changes")
    func namesThatMove() throws {
        let before = """
            hosts:
              - { domain: a.test, aliases: [x.test], respond: {} }
              - { domain: b.test, aliases: [y.test], respond: {} }
              - { domain: c.test, respond: {} }
            """
        let after = """
            hosts:
              - { domain: a.test, aliases: [y.test], respond: {} }
              - { domain: b.test, respond: {} }
              - { domain: c.test, respond: { status: 201 } }
              - { domain: x.test, respond: {}, ssl_mode: letsencrypt }
            """
        #expect(
            try Self.order(from: before, to: after) == [
                "at once: update c.test", "x.test: create x.test, update a.test, update b.test",
            ])
        let renamed = """
            hosts:
              - { domain: a.test, aliases: [x.test], respond: {} }
              - { domain: new.test, aliases: [b.test, y.test], respond: {}, ssl_mode: letsencrypt }
            """
        #expect(
            try Self.order(from: before, to: renamed) == [
                "at once: delete c.test", "new.test: create new.test, delete b.test",
            ])
    }

    @Test("A wildcard that is split or merged stays served until its replacement is issued")
    func wildcards() throws {
        let wildcard = "hosts: [{ domain: '*.a.test', respond: {} }, { domain: '*.b.test', respond: {} }]"
        let single = """
            hosts:
              - { domain: x.a.test, respond: {}, ssl_mode: letsencrypt }
              - { domain: '*.b.test', respond: {} }
            """
        #expect(
            try Self.order(from: wildcard, to: single) == ["at once: ", "x.a.test: create x.a.test, delete *.a.test"])
        let joined = """
            certificates: { wide: { issuer: lan, domains: ["*.a.test"] } }
            hosts:
              - { domain: "*.a.test", respond: {}, ssl_mode: custom, certificate: wide }
              - { domain: "*.b.test", respond: {} }
            """
        #expect(
            try Self.order(from: single, to: joined) == ["at once: ", "wide: create *.a.test, delete x.a.test"])
    }

    @Test("A change that depends on two certificates waits for both")
    func twoCertificates() throws {
        let before = "hosts: [{ domain: a.test, aliases: [x.test, y.test], respond: {} }]"
        let after = """
            hosts:
              - { domain: a.test, respond: {} }
              - { domain: x.test, respond: {}, ssl_mode: letsencrypt }
              - { domain: y.test, respond: {}, ssl_mode: letsencrypt }
              - { domain: z.test, respond: {}, ssl_mode: letsencrypt }
            """
        #expect(
            try Self.order(from: before, to: after) == [
                "at once: ", "x.test: ", "y.test: create x.test, create y.test, update a.test",
                "z.test: create z.test",
            ])
    }

    // MARK: Any change

    /// What clients meet during an apply: the hosts and certificates in force.
    private struct World {
        var hosts: [String: Host] = [:]
        var certificates: [String: Set<String>] = [:]

        init(_ configuration: Configuration) {
            for host in configuration.hosts {
                hosts[host.domain.text] = host
                guard let name = host.certificateName else { continue }
                certificates[name] = Set(host.names.map(\.text))
            }
        }

        /// The hosts that have a name, or else the wildcard above it.
        func answering(to name: String) -> [Host] {
            let served = hosts.values.filter(\.enabled)
            let exact = served.filter { $0.names.contains { $0.text == name } }
            let wildcard = "*." + name.drop { $0 != "." }.dropFirst()
            return exact.isEmpty ? served.filter { $0.names.contains { $0.text == wildcard } } : exact
        }

        /// Whether clients of a name get a certificate for it: the host's own, or else any that covers the name.
        func isSecure(_ name: String) -> Bool {
            guard let host = answering(to: name).first, let certificate = host.certificateName else { return false }
            let shown = certificates[certificate].map { [$0] } ?? Array(certificates.values)
            return shown.contains { names in
                names.contains(name) || names.contains("*." + name.drop { $0 != "." }.dropFirst())
            }
        }
    }

    /// A file with hosts. Each of a few names belongs to at most one host.
    private static func randomFile(_ random: inout some RandomNumberGenerator) -> String {
        var names = ["a.x.test", "b.x.test", "*.x.test", "c.y.test", "d.y.test", "*.y.test", "e.test"].shuffled(
            using: &random)
        var hosts: [String] = []
        while names.count > 1 {
            let own = names.prefix(Int.random(in: 1...3, using: &random))
            names.removeFirst(own.count)
            let mode = Bool.random(using: &random) ? "letsencrypt" : "none"
            let isEnabled = Int.random(in: 0..<6, using: &random) > 0
            let status = Int.random(in: 200...201, using: &random)
            let aliases = own.dropFirst().map { "'\($0)'" }.joined(separator: ", ")
            hosts.append(
                "{ domain: '\(own[own.startIndex])', aliases: [\(aliases)], respond: { status: \(status) }, ssl_mode: \(mode), enabled: \(isEnabled) }"
            )
        }
        return "hosts: [\(hosts.joined(separator: ", "))]"
    }

    @Test("A name that is served before and after a change is served at each step between")
    func anyChange() throws {
        var random = SeededNumbers(seed: 20)
        var checked = 0
        for _ in 0..<1_500 {
            let (before, after) = (Self.randomFile(&random), Self.randomFile(&random))
            let configuration = try Self.configuration(after)
            let former = try Self.configuration(before)
            let start = World(former)
            let end = World(configuration)
            let plan = Planner(configuration, against: Self.snapshot(of: former), now: Self.now)
                .plan()
            var schedule = HostSchedule(plan, of: configuration, now: Self.now)
            let certificates = plan.changes.filter { $0.item.kind == .certificate && $0.action != .delete }
            let coming = certificates.filter { !$0.isAtHand }
            let mixed = coming.filter { change in
                let (old, new) = (start.certificates[change.item.name] ?? [], end.certificates[change.item.name] ?? [])
                return !old.isSubset(of: new) && !configuration.onlyLosesNames(change)
            }
            let order =
                coming.filter { !configuration.onlyLosesNames($0) }.shuffled(using: &random)
                + coming.filter { configuration.onlyLosesNames($0) }.shuffled(using: &random)
            var world = start
            var left = Set(plan.changes.filter { $0.item.kind == .host }.map(\.item))
            func make(_ changes: [Change]) {
                for change in changes {
                    #expect(left.remove(change.item) != nil, "twice: \(change.item.name)")
                    world.hosts[change.item.name] = change.action == .delete ? nil : end.hosts[change.item.name]
                }
                for name in ["a.x.test", "b.x.test", "z.x.test", "c.y.test", "d.y.test", "z.y.test", "e.test"] {
                    let answering = world.answering(to: name)
                    #expect(answering.count < 2, "\(name) has two hosts\n\(before)\n\(after)")
                    if !start.answering(to: name).isEmpty, !end.answering(to: name).isEmpty {
                        #expect(!answering.isEmpty, "\(name) has no host\n\(before)\n\(after)")
                    }
                    guard mixed.isEmpty, start.isSecure(name), end.isSecure(name) else { continue }
                    checked += 1
                    #expect(world.isSecure(name), "\(name) is not secure\n\(before)\n\(after)")
                }
            }
            for change in certificates where change.isAtHand {
                world.certificates[change.item.name] = end.certificates[change.item.name]
            }
            for change in plan.changes where change.isPassedOn { world.certificates[change.item.name] = nil }
            for (change, host) in schedule.early { world.hosts[change.item.name] = host }
            make(schedule.ready)
            for change in order {
                world.certificates[change.item.name] = end.certificates[change.item.name]
                make(schedule.release(by: change.item.name))
            }
            #expect(left.isEmpty, "\(left.map(\.name)) never\n\(before)\n\(after)")
        }
        #expect(checked > 1_000)
    }
}
