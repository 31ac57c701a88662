import Foundation
import SQLiteState
import State
import TestSupport
import Testing

/// What `status` prints about running gateways.
@Suite struct StatusTests {
    private let folder: TemporaryFolder
    private let now = Int64(Date().timeIntervalSince1970)

    init() throws {
        folder = try TemporaryFolder()
        let file = "version: 1\nstate: { path: state.db }\nhosts: [{ domain: www.example.com, respond: {} }]\n"
        _ = try folder.file("aegis.yaml", file)
    }

    private func run(_ arguments: String...) throws -> ApplyProgram.Outcome {
        let key = String(repeating: "0123456789abcdef", count: 4)
        return try ApplyProgram.run(arguments, in: folder.path, environment: ["AEGIS_SSL_KEY": key])
    }

    /// Applies the file, and stores these gateways' reports.
    private func report(_ nodes: GatewayNode...) throws {
        #expect(try run().status == 0)
        let store = try SQLiteStateStore(path: folder.path("state.db"))
        for node in nodes { try store.report(node) }
        store.close()
    }

    /// A gateway that last reported this many seconds ago. A negative age counts as a report at this moment.
    private func node(
        _ machine: String, age: Int64, revision: Int, _ phase: GatewayNode.Phase = .ready, problem: String? = nil
    ) -> GatewayNode {
        GatewayNode(
            id: machine, machine: machine, process: 7, version: "1.2", startedAt: 0, heartbeatAt: now - age,
            position: StatePosition(revision: revision, generation: 1), phase: phase, problems: problem == nil ? 0 : 2,
            lastProblem: problem)
    }

    @Test("Without a gateway, status lists none")
    func none() throws {
        try report()
        #expect(try run("status").output.hasPrefix("generation 1\n\nHOST "))
        #expect(try run("status", "--format", "json").output.contains("\"gateways\": [],"))
    }

    @Test("Status has a line for a certificate without a host that is about to expire", arguments: [2, 20])
    func loneCertificates(_ days: Int64) throws {
        try report()
        let store = try SQLiteStateStore(path: folder.path("state.db"))
        let holder = LeaseHolder(machine: "here", scope: "boot", process: 1, startTicks: 2, user: "ops")
        _ = try store.acquireLease(.apply, for: holder, now: now, isFree: { _ in true })
        let facts = CertificateFacts(
            domains: ["lone.example.com"], source: .custom, issuerCommonName: "CA", notBefore: now - 86_400,
            expiresAt: now + days * 86_400, autoRenew: false, createdAt: now, fingerprint: "ab")
        try store.commit(
            [
                .putCertificate(
                    StoredCertificate(
                        name: "lone", owner: .api, record: Array("{}".utf8), facts: facts, chain: [], sealedKey: []))
            ], by: holder)
        store.close()
        let status = try run("status", "--check")
        let line = days == 2 ? "problem: certificate lone is about to expire" : "warning: certificate lone expires soon"
        #expect(status.status == (days == 2 ? 3 : 0))
        #expect(status.output.hasSuffix("\n\n\(line)\n"), "\(status.output)")
        let certificates = try run("status", "--format", "json").output.components(separatedBy: "\"certificates\": ")
        #expect(certificates.last?.contains(days == 2 ? "\"is about to expire\"" : "\"expires soon\"") == true)
    }

    @Test("Status has a line for each gateway: what it serves, and whether that is up to date")
    func gateways() throws {
        // The reports come from a clock that is ahead. So they count as new, and the output does not depend on the
        // speed of the test.
        try report(
            node("a", age: -100, revision: 9), node("b\u{1B}[2J", age: -100, revision: 1, .draining),
            node("c", age: -100, revision: 9, problem: "certificate x: its key does not open"),
            node("dead", age: 11, revision: 9))
        let lines = try run("status").output.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(
            lines.prefix(7).joined(separator: "\n") == """
                generation 1

                GATEWAY  PROCESS  VERSION  GENERATION  STATE             SEEN     PROBLEM
                a        7        1.2      1           up to date        0 s ago
                b?[2J    7        1.2      1           behind, draining  0 s ago
                c        7        1.2      1           up to date        0 s ago  2: certificate x: its key does not open

                """)
        #expect(lines[7].hasPrefix("HOST "))
    }

    @Test("All problems of a gateway are named, as far as it reports them")
    func troubles() throws {
        var reporting = node("a", age: -100, revision: 9, problem: "first")
        reporting.problems = 4
        reporting.troubles = [
            .init("first"), .init("the identity 'mesh' is bad", item: ItemID(.identity, "mesh")), .init("third\u{1B}"),
        ]
        try report(reporting)
        #expect(
            try run("status").output.contains(
                """
                  4: first
                problem: gateway 'a' 7: the identity 'mesh' is bad
                problem: gateway 'a' 7: third?
                problem: gateway 'a' 7: 1 more; its log names them

                HOST
                """))
        let data = try run("status", "--format", "json").output
        #expect(data.contains("\"the identity 'mesh' is bad\""))
    }

    @Test("Status as JSON has the same facts of a gateway as its line")
    func json() throws {
        try report(node("a", age: -100, revision: 1, .starting))
        let data = Data(try run("status", "--format", "json").output.utf8)
        let report = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        let gateways = try #require(report["gateways"] as? [[String: Any]])
        let gateway = try #require(gateways.first as NSDictionary?)
        #expect(gateways.count == 1)
        let expected: [String: Any] = [
            "id": "a", "machine": "a", "process": 7, "version": "1.2", "started_at": "1970-01-01T00:00:00Z",
            "heartbeat_age_seconds": 0, "generation": 1, "revision": 1, "up_to_date": false, "phase": "starting",
            "problems": 0, "last_problem": NSNull(), "troubles": [String](),
        ]
        #expect(gateway == expected as NSDictionary)
    }

    @Test("When all gateways are dead, status says that none is running")
    func dead() throws {
        try report(node("a", age: 11, revision: 9))
        #expect(try run("status").output.hasPrefix("generation 1\n\nproblem: no gateway is running\n\nHOST "))
        #expect(try run("status", "--format", "json").output.contains("\"gateways\": [],"))
    }

    @Test("Reports of gateways cause no new plan and no changes")
    func reportsAreNoChange() throws {
        try report(node("a", age: 0, revision: 9))
        #expect(try run().output == "No changes: the state is what the file says.\n")
    }
}
