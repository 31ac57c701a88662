import Foundation
import GRDB
import State
import TestSupport
import Testing

@testable import SQLiteState

/// States that an older or a newer version of the program has written.
@Suite struct VersionTests {
    private let folder: TemporaryFolder
    private let path: String

    init() throws {
        folder = try TemporaryFolder()
        path = folder.path("state/state.db")
    }

    private func store() throws -> SQLiteStateStore { try .leased(path) }

    @Test("A state of a newer version is not changed")
    func newerVersion() throws {
        try { _ = try store() }()
        let queue = try DatabaseQueue(path: path)
        try queue.write { try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('99: from the future')") }
        try queue.close()
        try makePrivate(path)
        #expect(throws: StateError.tooNew(path: path)) { try SQLiteStateStore(path: path) }
        #expect(throws: StateError.tooNew(path: path)) { try SQLiteStateStore(readingFrom: path) }
    }

    /// Makes a state as this version wrote it.
    private func makeOld(_ version: String) throws {
        try FileManager.default.createDirectory(atPath: folder.path("state"), withIntermediateDirectories: true)
        let queue = try DatabaseQueue(path: path)
        try queue.writeWithoutTransaction { try $0.execute(sql: "PRAGMA journal_mode = WAL") }
        try StateSchema.migrator.migrate(queue, upTo: version)
        try queue.write {
            try $0.execute(sql: "INSERT INTO items VALUES ('host', 'app.example.com', 'file', x'01', 1)")
            try $0.execute(sql: "UPDATE position SET revision = 1")
        }
        try queue.close()
        try makePrivate(path)
    }

    @Test("A state of each earlier version is migrated", arguments: StateSchema.migrator.migrations)
    func upgrade(_ version: String) throws {
        try makeOld(version)
        let store = try store()
        #expect(try store.snapshot().items[host]?.record == [1])
        try store.commit(
            [.putCertificate(certificate("a")), .putChallenge(challenge("token"), certificate: "a")], by: me)
        try store.report(GatewayNode(id: "a", machine: "m", process: 1, version: "1", startedAt: 0, heartbeatAt: 0))
        #expect(try store.changes(since: 1) == [.certificate(certificate("a")), .challenge(challenge("token"))])
        #expect(try store.database.read { try String.fetchOne($0, sql: "PRAGMA integrity_check") } == "ok")
    }

    @Test("A follower migrates a state of each earlier version too", arguments: StateSchema.migrator.migrations)
    func upgradeByFollowing(_ version: String) throws {
        try makeOld(version)
        let store = try #require(try SQLiteStateStore(following: path))
        try store.report(GatewayNode(id: "a", machine: "m", process: 1, version: "1", startedAt: 0, heartbeatAt: 0))
        #expect(try store.changes(since: 0) == [.item(host, StoredItem(owner: .file, record: [1]))])
        #expect(try store.nodes().map(\.id) == ["a"])
    }

    @Test("A state of each earlier version can be read without changing it", arguments: StateSchema.migrator.migrations)
    func readingOld(_ version: String) throws {
        try makeOld(version)
        let before = try Data(contentsOf: URL(fileURLWithPath: path))
        let reader = try #require(try SQLiteStateStore(readingFrom: path))
        #expect(try reader.snapshot().items[host]?.record == [1])
        #expect(try reader.nodes() == [])
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
    }

    @Test("Certificates keep all columns when their table is rebuilt, and may then have any source")
    func anySource() throws {
        try makeOld("details of events")
        let queue = try DatabaseQueue(path: path)
        try queue.write {
            try $0.execute(sql: "UPDATE position SET revision = 5")
            try $0.execute(
                sql: """
                    INSERT INTO certificates VALUES (7, 'a', 'file', x'01', 'a.test *.a.test', 'letsencrypt', 'A CA', 1, 2, 1,
                        3, 'ab', x'09', x'0A', x'0B', 5, 'remote', x'0C', 'https://ca.test/dir', 'was revoked')
                    """)
        }
        try queue.close()
        let kept = StoredCertificate(
            name: "a", owner: .file, record: [1],
            facts: CertificateFacts(
                domains: ["a.test", "*.a.test"], source: .letsencrypt, issuerCommonName: "A CA", notBefore: 1,
                expiresAt: 2, autoRenew: true, createdAt: 3, fingerprint: "ab", sourceDigest: [9],
                directory: "https://ca.test/dir", loss: "was revoked"),
            chain: [10], sealedKey: [11], remote: RemoteCertificate(id: "remote", request: [12]))
        let store = try store()
        #expect(try store.certificate(named: "a") == kept)
        #expect(try store.changes(since: 4) == [.certificate(kept)])
        var other = certificate("b")
        other.facts.source = .vaultPKI
        try store.commit([.putCertificate(other)], by: me)
        #expect(try store.certificate(named: "b") == other)
        let plan = try store.database.read {
            try String.fetchAll($0, sql: "SELECT name FROM sqlite_schema WHERE tbl_name = 'certificates' ORDER BY name")
        }
        #expect(plan.contains("certificates_by_revision"))
    }

    @Test("A state of the first version keeps its texts, and reading does not change it")
    func firstVersion() throws {
        try FileManager.default.createDirectory(atPath: folder.path("state"), withIntermediateDirectories: true)
        let queue = try DatabaseQueue(path: path)
        try StateSchema.migrator.migrate(queue, upTo: StateSchema.migrator.migrations[0])
        try queue.write {
            try $0.execute(
                sql: "INSERT INTO generations VALUES (1, 5, 'ops', 'aegis.yaml', '/etc', '00', x'07', 'complete', '')")
        }
        try queue.close()
        try makePrivate(path)
        let before = try Data(contentsOf: URL(fileURLWithPath: path))
        let reader = try #require(try SQLiteStateStore(readingFrom: path))
        #expect(try reader.sealedText(ofGeneration: 1) == [7])
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
        #expect(try store().sealedText(ofGeneration: 1) == [7])
    }
}
