import Foundation
import GRDB
import State
import Synchronization
import TestSupport
import Testing

@testable import SQLiteState

/// What a gateway reads: the whole state at first, and then the changes.
@Suite struct ChangeTests {
    private let folder: TemporaryFolder
    private let path: String

    init() throws {
        folder = try TemporaryFolder()
        path = folder.path("state/state.db")
    }

    private func store() throws -> SQLiteStateStore { try .leased(path) }

    private func put(_ id: ItemID) -> StateMutation { .putItem(id, owner: .file, record: Array(id.name.utf8)) }

    private func item(_ id: ItemID) -> StateChange {
        .item(id, StoredItem(owner: .file, record: Array(id.name.utf8)))
    }

    @Test("A snapshot has all items in the order of dependence, with its revision")
    func everything() throws {
        let store = try store()
        let edge = ItemID(.edgeCertificate, "edge")
        let issuer = ItemID(.issuer, "lan")
        let gateway = ItemID(.gateway, "gateway")
        #expect(try store.readChanges(since: 0) { _ in Issue.record("there is nothing") } == .start)
        try store.commit([.putChallenge(challenge("token"), certificate: "a"), put(host), put(edge)], by: me)
        try store.commit([.putCertificate(certificate("a")), put(issuer), put(gateway)], by: me)
        try store.commit([put(ItemID(.host, "gone")), .putCertificate(certificate("gone"))], by: me)
        try store.commit([.deleteItem(ItemID(.host, "gone")), .deleteItem(ItemID(.certificate, "gone"))], by: me)
        #expect(
            try store.changes(since: 0) == [
                item(gateway), item(issuer), .certificate(certificate("a")), item(edge), item(host),
                .challenge(challenge("token")),
            ])
        #expect(try store.readChanges(since: 0) { _ in } == StatePosition(revision: 4, generation: 0))
        #expect(try store.position() == StatePosition(revision: 4, generation: 0))
    }

    @Test("A reader gets the changes since a revision, deletions last")
    func changes() throws {
        let store = try store()
        try store.commit([put(host), .putCertificate(certificate("a"))], by: me)
        try store.commit([.putCertificate(certificate("b"))], by: me)
        #expect(try store.changes(since: 1) == [.certificate(certificate("b"))])
        let other = ItemID(.host, "other.example.com")
        try store.commit([.deleteItem(host), .deleteItem(ItemID(.certificate, "a")), put(other)], by: me)
        #expect(
            try store.changes(since: 2) == [item(other), .deleted(ItemID(.certificate, "a")), .deleted(host)])
        try store.commit([put(host)], by: me)
        #expect(try store.changes(since: 2) == [item(other), item(host), .deleted(ItemID(.certificate, "a"))])
        #expect(try store.changes(since: 3) == [item(host)])
        #expect(try store.changes(since: 4) == [])
    }

    @Test("Challenges are added and removed like other items")
    func challenges() throws {
        let store = try store()
        #expect(
            try store.commit(
                [
                    .putChallenge(challenge("one"), certificate: "a"),
                    .putChallenge(challenge("alpn"), certificate: "a"),
                ], by: me) == 1)
        #expect(try store.changes(since: 0) == [.challenge(challenge("alpn")), .challenge(challenge("one"))])
        #expect(try store.commit([.deleteChallenge(token: "one")], by: me) == 2)
        #expect(try store.changes(since: 1) == [.challengeDeleted(token: "one")])
        try store.commit([.putChallenge(challenge("one"), certificate: "a")], by: me)
        #expect(try store.changes(since: 1) == [.challenge(challenge("one"))])
    }

    @Test("Challenges are deleted with their certificate, and others stay")
    func leftChallenges() throws {
        let store = try store()
        try store.commit(
            [
                .putCertificate(certificate("a")), .putChallenge(challenge("one"), certificate: "a"),
                .putChallenge(challenge("alpn"), certificate: "b"),
            ], by: me)
        try store.commit([.deleteItem(ItemID(.certificate, "a"))], by: me)
        let changes = try #require(try store.changes(since: 1))
        #expect(changes.contains(.challengeDeleted(token: "one")))
        #expect(!changes.contains(.challengeDeleted(token: "alpn")))
    }

    struct BadChallenge: Sendable, CustomStringConvertible {
        let description: String
        let token: String
        let answer: String
    }

    @Test(
        "A challenge needs a base64url token and the answer for that token",
        arguments: [
            BadChallenge(description: "empty", token: "", answer: ".print"),
            BadChallenge(description: "a path", token: "../state", answer: "../state.print"),
            BadChallenge(description: "a line break", token: "to\nken", answer: "to\nken.print"),
            BadChallenge(description: "not ASCII", token: "tökén", answer: "tökén.print"),
            BadChallenge(
                description: "too long", token: String(repeating: "a", count: 257),
                answer: String(repeating: "a", count: 257) + ".print"),
            BadChallenge(description: "another's answer", token: "token", answer: "other.print"),
            BadChallenge(description: "no thumbprint", token: "token", answer: "token."),
            BadChallenge(description: "no dot", token: "token", answer: "token"),
            BadChallenge(description: "markup", token: "token", answer: "token.<b>"),
            BadChallenge(description: "a dot more", token: "token", answer: "token.print.more"),
        ])
    func badChallenges(_ bad: BadChallenge) {
        #expect(
            ACMEChallenge(
                kind: .http01, token: bad.token, keyAuthorization: bad.answer, domain: "a.example.com", createdAt: 0)
                == nil)
    }

    @Test("Changes are found by the index on the revision, so the cost is that of the changes")
    func queryPlans() throws {
        let store = try store()
        try store.commit([.putItem(host, owner: .file, record: [1])], by: me)
        let statements = Mutex<[String]>([])
        store.database.unsafeRead { database in
            database.trace { event in statements.withLock { $0.append(event.expandedDescription) } }
        }
        _ = try store.changes(since: 1)
        let searches = statements.withLock { $0.filter { $0.contains("revision > ") } }
        #expect(searches.count == ItemKind.allCases.count + 2)
        for search in searches {
            let plan = try store.database.read {
                try Row.fetchAll($0, sql: "EXPLAIN QUERY PLAN \(search)").map { $0["detail"] as String }
            }
            #expect(plan.count == 1 && plan[0].hasSuffix("_by_revision (revision>?)"), "\(search): \(plan)")
        }
    }

    @Test("Another connection's commit changes the data version, an own commit does not")
    func dataVersion() throws {
        let applying = try store()
        let following = try #require(try SQLiteStateStore(following: path))
        let version = try following.dataVersion()
        try following.report(
            GatewayNode(id: "a", machine: "m", process: 1, version: "1", startedAt: 0, heartbeatAt: 0))
        try following.record(events: [AuditEvent(at: 1, actor: "a", action: "load", item: host, failure: "no")])
        #expect(try following.dataVersion() == version)
        try applying.commit([put(host)], by: me)
        #expect(try following.dataVersion() != version)
        #expect(try following.changes(since: 0) == [item(host)])
    }

    @Test("The settled data version is read without a wait and without a write")
    func settledDataVersion() throws {
        let applying = try store()
        let following = try #require(try SQLiteStateStore(following: path))
        try following.record(events: [])
        let version = try following.dataVersion()
        #expect(try following.settledDataVersion() == version)
        try applying.database.writeWithoutTransaction { database in
            try database.inTransaction(.immediate) {
                let (settled, present) = (try following.settledDataVersion(), try following.dataVersion())
                #expect(settled == nil && present == version)
                return .rollback
            }
        }
        #expect(try following.settledDataVersion() == version)
        #expect(try following.dataVersion() == version)
        try applying.commit([put(host)], by: me)
        let wal = FileManager.default.contents(atPath: path + "-wal")
        #expect(try following.settledDataVersion() != version)
        #expect(FileManager.default.contents(atPath: path + "-wal") == wal)
        // The connection waits for locks as before.
        let patience = try following.database.read { try Int.fetchOne($0, sql: "PRAGMA busy_timeout") }
        #expect(patience == SQLiteStateStore.usualPatience)
    }

    @Test("A follower finds no state before the first apply, and creates no file")
    func following() throws {
        #expect(try SQLiteStateStore(following: path) == nil)
        #expect(!FileManager.default.fileExists(atPath: folder.path("state")))
        // An apply has begun, so there is a database without tables.
        try FileManager.default.createDirectory(atPath: folder.path("state"), withIntermediateDirectories: true)
        try DatabaseQueue(path: path).writeWithoutTransaction { try $0.execute(sql: "PRAGMA user_version = 0; VACUUM") }
        try makePrivate(path)
        #expect(try !Data(contentsOf: URL(fileURLWithPath: path)).isEmpty)
        #expect(try SQLiteStateStore(following: path) == nil)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path("state")) == ["state.db"])
        let applying = try store()
        try applying.commit([put(host)], by: me)
        #expect(try SQLiteStateStore(following: path)?.changes(since: 0) == [item(host)])
    }

    @Test("A follower notices that the state's file was replaced or is gone")
    func replaced() throws {
        try store().commit([put(host)], by: me)
        let following = try #require(try SQLiteStateStore(following: path))
        #expect(following.isInPlace)
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path("state")) {
            try FileManager.default.removeItem(atPath: folder.path("state/\(name)"))
        }
        #expect(!following.isInPlace)
        let other = ItemID(.host, "other.example.com")
        let applying = try store()
        try applying.commit([put(other)], by: me)
        #expect(!following.isInPlace)
        following.close()
        // Closing the old store must not delete the -wal file of the new state.
        #expect(try SQLiteStateStore(following: path)?.changes(since: 0) == [item(other)])
        #expect(try applying.changes(since: 0) == [item(other)])
    }
}
