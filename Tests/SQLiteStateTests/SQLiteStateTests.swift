import Foundation
import GRDB
import State
import Synchronization
import TestSupport
import Testing

@testable import SQLiteState

@Suite struct SQLiteStateTests {
    private let folder: TemporaryFolder
    private let path: String

    init() throws {
        folder = try TemporaryFolder()
        path = folder.path("state/state.db")
    }

    private func store() throws -> SQLiteStateStore { try .leased(path) }

    @Test("An item is read back unchanged, with the revision of its commit")
    func putAndRead() throws {
        let store = try store()
        let record = Array(#"{"domain":"app.example.com"}"#.utf8)
        #expect(try store.commit([.putItem(host, owner: .file, record: record)], by: me) == 1)
        #expect(try store.commit([.putCertificate(certificate("shop"))], by: me) == 2)
        let snapshot = try store.snapshot()
        #expect(snapshot.revision == 2)
        #expect(snapshot.items[host] == StoredItem(owner: .file, record: record))
        #expect(snapshot.items[ItemID(.certificate, "shop")]?.certificate == certificate("shop").facts)
        #expect(try store.certificate(named: "shop") == certificate("shop"))
        #expect(try store.certificate(named: "none") == nil)
    }

    @Test("Commits are synced to disk, in each mode of opening and after unsynced reports")
    func synced() throws {
        let maker = try store()
        let follower = try #require(try SQLiteStateStore(following: path))
        for store in [maker, follower] {
            try store.removeNode("none")
            // SQLite's number 2 stands for FULL.
            #expect(try store.database.read { try Int.fetchOne($0, sql: "PRAGMA synchronous") } == 2)
        }
    }

    @Test("A failed commit changes nothing, not even the revision")
    func atomicity() throws {
        let store = try store()
        try store.commit([.putItem(host, owner: .file, record: [1])], by: me)
        var broken = certificate("x")
        broken.facts.domains = ["a"]
        try store.database.write {
            try $0.execute(sql: "CREATE TRIGGER no BEFORE INSERT ON certificates BEGIN SELECT RAISE(ABORT, 'no'); END")
        }
        #expect(throws: StateError.self) {
            try store.commit([.putItem(host, owner: .file, record: [2]), .putCertificate(broken)], by: me)
        }
        #expect(try store.snapshot().revision == 1)
        #expect(try store.snapshot().items[host]?.record == [1])
    }

    @Test("A process that lost the lease can't write")
    func lostLease() throws {
        let store = try store()
        let other = LeaseHolder(machine: "there", scope: "other", process: 5, startTicks: 6, user: "other ops")
        #expect(
            try store.acquireLease(.apply, for: other, now: 5, isFree: { $0.expiresAt <= 5 })
                == .held(Lease(holder: me, since: 0, expiresAt: 30)))
        #expect(try store.acquireLease(.apply, for: other, now: 31, isFree: { $0.expiresAt <= 31 }) == .acquired)
        #expect(throws: StateError.leaseLost) { try store.commit([.deleteItem(host)], by: me) }
        #expect(throws: StateError.leaseLost) { try store.renewLease(.apply, of: me, now: 32) }
        try store.releaseLease(.apply, of: me)
        try store.commit([.putItem(host, owner: .api, record: [])], by: other)
        try store.releaseLease(.apply, of: other)
        #expect(try store.acquireLease(.apply, for: me, now: 33, isFree: { _ in false }) == .acquired)
    }

    @Test("A lease is free when it has expired, or its holder on this machine is dead")
    func freeLease() {
        let lease = Lease(holder: me, since: 0, expiresAt: 30)
        #expect(!lease.isFree(at: 29, in: "boot", isAlive: { _ in true }))
        #expect(lease.isFree(at: 30, in: "boot", isAlive: { _ in true }))
        #expect(lease.isFree(at: 1, in: "boot", isAlive: { _ in false }))
        #expect(!lease.isFree(at: 1, in: "other", isAlive: { _ in false }))
        #expect(LeaseHolder(text: me.text) == me)
        #expect(LeaseHolder(text: "nonsense") == nil)
    }

    @Test("Only the owner can access the files and the directory")
    func modes() throws {
        let store = try store()
        try store.commit([.putSetting(.masterKey, [1])], by: me)
        func mode(_ path: String) throws -> Int {
            try #require(FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
        }
        #expect(try mode(folder.path("state")) == 0o700)
        for name in ["state.db", "state.db-wal", "state.db-shm"] {
            #expect(try mode(folder.path("state/\(name)")) == 0o600)
        }
    }

    @Test("Reading creates no file, even if there is none to read")
    func readingMakesNoFile() throws {
        #expect(try SQLiteStateStore(readingFrom: path) == nil)
        #expect(!FileManager.default.fileExists(atPath: folder.path("state")))
        _ = try { try store().commit([.putItem(host, owner: .file, record: [1])], by: me) }()
        let before = try FileManager.default.contentsOfDirectory(atPath: folder.path("state"))
        #expect(before == ["state.db"])
        let reader = try #require(try SQLiteStateStore(readingFrom: path))
        #expect(try reader.snapshot().items[host]?.record == [1])
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path("state")) == before)
    }

    @Test("A reader beside a writer sees the committed state")
    func readerBesideWriter() throws {
        let store = try store()
        try store.commit([.putItem(host, owner: .file, record: [1])], by: me)
        let reader = try #require(try SQLiteStateStore(readingFrom: path))
        #expect(try reader.snapshot().revision == 1)
        try store.commit([.putItem(host, owner: .file, record: [2])], by: me)
        #expect(try reader.snapshot().items[host]?.record == [2])
    }

    @Test("A writer refuses a state that others can read, and says what to do")
    func wideMode() throws {
        try store().close()
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
        let error = #expect(throws: StateError.self) { try SQLiteStateStore(path: path) }
        #expect(error?.description.contains("run: chmod 600 '\(path)'") == true)
        // A process that follows the state serves it, and can report the exposure.
        let following = try #require(try SQLiteStateStore(following: path))
        #expect(following.exposure?.contains("run: chmod 600 '\(path)'") == true)
        try makePrivate(path)
        #expect(following.exposure == nil)
    }

    @Test(
        "Files that are not a state are refused and left unchanged",
        arguments: [
            ("", "the file is empty (to begin with nothing, remove it)"),
            ("hello, this is no database at all", "file is not a database"),
        ])
    func foreignFiles(_ content: String, _ reason: String) throws {
        let file = try folder.file("foreign.db", content)
        try makePrivate(file)
        let error = StateError.unreadable(path: file, reason: reason)
        #expect(throws: error) { try SQLiteStateStore(readingFrom: file) }
        #expect(throws: error) { try SQLiteStateStore(following: file) }
        #expect(throws: error) { try SQLiteStateStore(path: file) }
        #expect(try String(contentsOfFile: file, encoding: .utf8) == content)
    }

    @Test("History beyond retention is deleted, and a request for older changes needs a full read")
    func pruning() throws {
        let store = try store()
        let retention = Retention(certificateSeconds: 0, generationTexts: 2, events: 3, deletions: 2)
        for number in 1...5 {
            let name = ItemID(.host, "h\(number).example.com")
            let generation = Generation(
                number: number, startedAt: 5, who: "ops@here", fileName: "aegis.yaml", directory: "/etc",
                fileHash: "00", outcome: .complete, summary: "")
            let event = AuditEvent(at: Int64(number), actor: "ops@here", action: "delete", item: name)
            try store.commit(
                [
                    .putGeneration(generation, sealedText: [7]), .putItem(name, owner: .file, record: [1]),
                    .deleteItem(name), .appendEvent(event), .prune(retention, now: 0),
                ], by: me)
        }
        #expect(try store.generations().map(\.number) == [5, 4, 3, 2, 1])
        #expect(try (1...5).map { try store.sealedText(ofGeneration: $0) } == [nil, nil, nil, [7], [7]])
        #expect(try store.database.read { try Int.fetchAll($0, sql: "SELECT at FROM events") } == [3, 4, 5])
        #expect(try store.changes(since: 2) == nil)
        #expect(try store.changes(since: 3)?.count == 2)
        #expect(try store.changes(since: 5) == [])
        #expect(try store.changes(since: 6) == nil, "a revision that this state has never had")
    }

    @Test("The deletions of one commit stay or go together")
    func pruningWholeCommits() throws {
        let store = try store()
        let names = (1...3).map { ItemID(.host, "h\($0).example.com") }
        try store.commit(names.map { .putItem($0, owner: .file, record: [1]) }, by: me)
        try store.commit(
            names.map { .deleteItem($0) } + [.prune(Retention(certificateSeconds: 0, deletions: 2), now: 0)], by: me)
        #expect(try store.changes(since: 1) == nil)
        #expect(try store.changes(since: 2) == [])
    }

    @Test("Settings, generations and events are stored")
    func history() throws {
        let store = try store()
        var generation = Generation(
            number: 1, startedAt: 5, who: "ops@here", fileName: "aegis.yaml", directory: "/etc/aegis", fileHash: "00",
            outcome: .unfinished, summary: "")
        let event = AuditEvent(at: 5, actor: "ops@here", action: "create", item: host, failure: nil)
        try store.commit(
            [.putGeneration(generation, sealedText: [7]), .putSetting(.sealingKeyID, [1]), .appendEvent(event)], by: me)
        generation.outcome = .complete
        generation.summary = "1 created"
        try store.commit([.closeGeneration(1, .complete, summary: "1 created")], by: me)
        #expect(try store.generations() == [generation])
        #expect(try store.sealedText(ofGeneration: 1) == [7])
        #expect(try store.sealedText(ofGeneration: 2) == nil)
        #expect(try store.snapshot().generation == 1)
        #expect(try store.setting(.sealingKeyID) == [1])
        #expect(try store.setting(.masterKey) == nil)
        try store.commit([.deleteSetting(.sealingKeyID)], by: me)
        #expect(try store.setting(.sealingKeyID) == nil)
        #expect(try store.database.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM events") } == 1)
    }

    @Test("A replaced certificate is kept under its own name")
    func keepingReplaced() throws {
        let store = try store()
        try store.commit([.putCertificate(certificate("a"))], by: me)
        let kept = KeptCertificate.name(replaced: "a", fingerprint: "0123456789")
        #expect(kept == "a@01234567")
        for key: UInt8 in [7, 8] {
            let replacement = certificate("a", key: [key])
            try store.commit(
                [.keepReplaced(name: "a", as: kept, sealedKey: [9], since: 100), .putCertificate(replacement)], by: me)
            #expect(try store.certificate(named: "a") == replacement)
            #expect(try store.snapshot().kept.mapValues(\.since) == [kept: 100])
            #expect(try store.keptCertificate(named: kept)?.sealedKey == [9])
        }
        try store.commit([.purgeCertificate(name: kept)], by: me)
        #expect(try store.snapshot().kept.isEmpty)
    }

    @Test("A kept certificate is not in force, returns unchanged, and is deleted when its time is over")
    func keeping() throws {
        func lasting(_ name: String, key: [UInt8] = [1, 2, 3]) -> StoredCertificate {
            var certificate = certificate(name, key: key)
            certificate.facts.expiresAt = 1_000
            return certificate
        }
        let store = try store()
        try store.commit([.putCertificate(lasting("a")), .putCertificate(lasting("b"))], by: me)
        let before = try store.snapshot()
        let id = ItemID(.certificate, "a")
        try store.commit([.keepCertificate(name: "a", since: 100)], by: me)
        #expect(try store.certificate(named: "a") == nil)
        #expect(try store.changes(since: 1) == [.deleted(id)])
        let kept = try store.snapshot()
        #expect(kept.items[id] == nil)
        #expect(kept.kept == ["a": KeptCertificate(item: try #require(before.items[id]), since: 100)])
        try store.commit([.resealKey(name: "a", sealedKey: [8])], by: me)
        try store.commit([.restoreCertificate(name: "a")], by: me)
        #expect(try store.certificate(named: "a") == lasting("a", key: [8]))
        #expect(try store.changes(since: 2) == [.certificate(lasting("a", key: [8]))])
        #expect(try store.snapshot().kept == [:])
        #expect(throws: StateError.changedMeanwhile(id)) {
            try store.commit([.restoreCertificate(name: "a")], by: me)
        }
        // A new certificate with the same name replaces the kept one.
        try store.commit([.keepCertificate(name: "a", since: 100), .putCertificate(lasting("a"))], by: me)
        #expect(try store.snapshot().kept == [:])
        try store.commit([.keepCertificate(name: "a", since: 100), .keepCertificate(name: "b", since: 200)], by: me)
        try store.commit([.prune(Retention(certificateSeconds: 50), now: 149)], by: me)
        #expect(try store.snapshot().kept.keys.sorted() == ["a", "b"])
        try store.commit([.prune(Retention(certificateSeconds: 50), now: 150)], by: me)
        #expect(try store.snapshot().kept.keys.sorted() == ["b"])
        try store.commit([.prune(Retention(certificateSeconds: 10_000), now: 1_000)], by: me)
        #expect(try store.snapshot().kept == [:])
    }

    @Test("The reason why a certificate is lost belongs to its leaf, and is deleted with it")
    func losses() throws {
        let store = try store()
        try store.commit([.putCertificate(certificate("a"))], by: me)
        try store.commit([.noteLoss(certificate: "a", fingerprint: "other", reason: "was revoked")], by: me)
        #expect(try store.certificate(named: "a") == certificate("a"))
        try store.commit([.noteLoss(certificate: "a", fingerprint: "ab", reason: "was revoked")], by: me)
        var lost = certificate("a")
        lost.facts.loss = "was revoked"
        #expect(try store.certificate(named: "a") == lost)
        #expect(try store.changes(since: 2) == [.certificate(lost)])
        #expect(try store.snapshot().items[ItemID(.certificate, "a")]?.certificate?.loss == "was revoked")
        try store.commit([.putCertificate(certificate("a"))], by: me)
        #expect(try store.certificate(named: "a") == certificate("a"))
    }

    @Test("Resealing changes the key of a certificate and nothing else")
    func resealing() throws {
        let store = try store()
        try store.commit([.putCertificate(certificate("a")), .putCertificate(certificate("b"))], by: me)
        try store.commit([.resealKey(name: "a", sealedKey: [8])], by: me)
        #expect(try store.certificate(named: "a") == certificate("a", key: [8]))
        var all: [StoredCertificate] = []
        try store.forEachCertificate { all.append($0) }
        #expect(all == [certificate("a", key: [8]), certificate("b")])
        #expect(try store.changes(since: 1) == [.certificate(certificate("a", key: [8]))])
    }

    @Test("After the store is closed, calls of other threads fail without a crash")
    func closing() throws {
        let store = try store()
        try store.commit([.putItem(host, owner: .file, record: [])], by: me)
        let failures = Mutex(0)
        DispatchQueue.concurrentPerform(iterations: 8) { thread in
            if thread == 0 { store.close() }
            while true {
                do throws(StateError) {
                    _ = try store.snapshot()
                } catch {
                    return failures.withLock { $0 += 1 }
                }
            }
        }
        #expect(failures.withLock { $0 } == 8)
        #expect(throws: StateError.self) { try store.commit([.putItem(host, owner: .file, record: [])], by: me) }
        #expect(throws: StateError.self) { try store.scrub() }
        store.close()
    }
}
