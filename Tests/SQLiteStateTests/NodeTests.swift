import Foundation
import GRDB
import State
import TestSupport
import Testing

@testable import SQLiteState

/// The reports of gateways.
@Suite struct NodeTests {
    private let folder: TemporaryFolder
    private let store: SQLiteStateStore

    init() throws {
        folder = try TemporaryFolder()
        store = try .leased(folder.path("state.db"))
    }

    private func node(_ id: String, at heartbeat: Int64) -> GatewayNode {
        GatewayNode(
            id: id, machine: "web", process: 7, version: "1.2", startedAt: 5, heartbeatAt: heartbeat,
            position: StatePosition(revision: 4, generation: 2), phase: .ready, problems: 1,
            lastProblem: "certificate a: its key does not open",
            troubles: [.init("its key does not open", item: ItemID(.certificate, "a")), .init("a \"quoted\" text")])
    }

    @Test("A node's row has its last report, until the node ends")
    func report() throws {
        #expect(try store.nodes() == [])
        try store.report(GatewayNode(id: "a", machine: "web", process: 7, version: "1", startedAt: 5, heartbeatAt: 5))
        try store.report(node("a", at: 8))
        try store.report(node("b", at: 9))
        #expect(try store.nodes() == [node("a", at: 8), node("b", at: 9)])
        try store.removeNode("a")
        #expect(try store.nodes() == [node("b", at: 9)])
    }

    @Test("The newest refusals are kept, and displace no other events")
    func refusals() throws {
        let other = AuditEvent(at: 0, actor: "a", action: "load", item: ItemID(.host, "app.test"))
        try store.record(events: [other])
        let count = Int64(Retention.refusals)
        for start in stride(from: Int64(1), through: 3 * count, by: 500) {
            try store.record(
                events: (start..<start + 500).map {
                    AuditEvent(
                        at: $0, actor: "a", action: "refuse", item: ItemID(.host, "app.test"), failure: "it is \"odd\"",
                        details: ["peer": "127.0.0.1", "sans": "DNS:\"a\""])
                })
        }
        let times = try store.database.read { try Int64.fetchAll($0, sql: "SELECT at FROM events ORDER BY id") }
        #expect(times == [0] + (2 * count + 1...3 * count))
        let details = try store.database.read {
            try String.fetchOne($0, sql: "SELECT json_extract(details, '$.sans') FROM events ORDER BY id DESC")
        }
        #expect(details == "DNS:\"a\"")
        try store.commit([.prune(Retention(certificateSeconds: 0, events: 1), now: 0)], by: me)
        #expect(try store.database.read { try Int64.fetchAll($0, sql: "SELECT at FROM events ORDER BY id") } == times)
    }

    @Test("A node's reports and events need no lease and do not raise the revision")
    func revision() throws {
        try store.commit([.putItem(host, owner: .file, record: [1])], by: me)
        try store.releaseLease(.apply, of: me)
        try store.report(node("a", at: 8))
        let event = AuditEvent(at: 8, actor: "web", action: "load", item: host, failure: "its record can't be read")
        try store.record(events: [event, event])
        #expect(try store.position().revision == 1)
        #expect(try store.changes(since: 1) == [])
        #expect(try store.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM events") } == 2)
    }

    @Test("Nodes that have been dead for a day are deleted when another node reports")
    func forgetting() throws {
        try store.report(node("old", at: 100))
        try store.report(node("dead", at: 101))
        try store.report(node("new", at: 101 + GatewayNode.forgottenSeconds))
        #expect(try store.nodes().map(\.id) == ["dead", "new"])
    }

    @Test("A node is alive while its last report is younger than ten seconds")
    func liveness() {
        #expect(node("a", at: 100).isAlive(at: 109))
        #expect(!node("a", at: 100).isAlive(at: 110))
    }

    @Test("A report does not make later commits less durable")
    func durability() throws {
        try store.report(node("a", at: 1))
        let full = 2
        #expect(try store.database.read { try Int.fetchOne($0, sql: "PRAGMA synchronous") } == full)
        try store.database.write {
            try $0.execute(sql: "CREATE TRIGGER no BEFORE INSERT ON nodes BEGIN SELECT RAISE(ABORT, 'no'); END")
        }
        #expect(throws: StateError.self) { try store.report(node("a", at: 2)) }
        #expect(try store.database.read { try Int.fetchOne($0, sql: "PRAGMA synchronous") } == full)
        #expect(try store.nodes().map(\.heartbeatAt) == [1])
    }

    @Test("A node's identity is 32 random hex digits")
    func identities() {
        let ids = (0..<100).map { _ in GatewayNode.makeID() }
        #expect(Set(ids).count == 100)
        #expect(ids.allSatisfy { $0.count == 32 && $0.allSatisfy(\.isHexDigit) })
    }
}
