import Foundation
import GRDB
import State

extension SQLiteStateStore {
    /// All that planning needs, read in one transaction.
    public func snapshot() throws(StateError) -> StateSnapshot {
        try read { database in
            let position = try Row.fetchOne(database, sql: "SELECT revision, generation FROM position")
            var snapshot = StateSnapshot(
                generation: position?["generation"] ?? 0, revision: position?["revision"] ?? 0, items: [:])
            let count = "SELECT (SELECT count(*) FROM items) + (SELECT count(*) FROM certificates)"
            snapshot.items.reserveCapacity(try Int.fetchOne(database, sql: count) ?? 0)
            let items = try Row.fetchCursor(database, sql: "SELECT \(Self.itemColumns) FROM items")
            while let row = try items.next() {
                if let (id, item) = item(row) { snapshot.items[id] = item }
            }
            let certificates = try Row.fetchCursor(database, sql: "SELECT \(Self.factColumns) FROM certificates")
            while let row = try certificates.next() {
                snapshot.items[ItemID(.certificate, row["name"])] = certificateItem(row)
            }
            return snapshot
        }
    }

    /// Where the state is now.
    public func position() throws(StateError) -> StatePosition { try read(position) }

    private func position(_ database: Database) throws -> StatePosition {
        let statement = try database.cachedStatement(sql: "SELECT revision, generation FROM position")
        return try Row.fetchOne(statement).map { StatePosition(revision: $0["revision"], generation: $0["generation"]) }
            ?? .start
    }

    /// Tells what has changed since a revision, by the indexes on it; nil when that can't be told any more.
    public func readChanges(since revision: Int, _ body: (StateChange) -> Void) throws(StateError) -> StatePosition? {
        try read { database in
            let position = try position(database)
            let pruned = try Int.fetchOne(database, sql: "SELECT pruned_revision FROM position") ?? 0
            guard revision == 0 || pruned...position.revision ~= revision else { return nil }
            try readItems([.gateway, .issuer], since: revision, database, body)
            try readCertificates(since: revision, database, body)
            try readItems([.edgeCertificate, .host], since: revision, database, body)
            try readChallenges(since: revision, database, body)
            // A reader that begins has seen nothing that could be gone.
            if revision > 0 { try readDeletions(since: revision, database, body) }
            return position
        }
    }

    private func readItems(
        _ kinds: [ItemKind], since revision: Int, _ database: Database, _ body: (StateChange) -> Void
    ) throws {
        for kind in kinds {
            // The index of revisions serves a change, the primary key a beginning.
            let sql =
                "SELECT \(Self.itemColumns) FROM items WHERE kind = ?" + (revision > 0 ? " AND revision > ?" : "")
            let arguments: StatementArguments = revision > 0 ? [kind.rawValue, revision] : [kind.rawValue]
            let rows = try Row.fetchCursor(database, sql: sql, arguments: arguments)
            while let row = try rows.next() {
                if let (id, item) = item(row) { body(.item(id, item)) }
            }
        }
    }

    private func readCertificates(since revision: Int, _ database: Database, _ body: (StateChange) -> Void) throws {
        let sql =
            "SELECT \(Self.factColumns), chain, sealed_key FROM certificates"
            + (revision > 0 ? " WHERE revision > ?" : "")
        let rows = try Row.fetchCursor(database, sql: sql, arguments: revision > 0 ? [revision] : [])
        while let row = try rows.next() { body(.certificate(certificate(row))) }
    }

    private func readChallenges(since revision: Int, _ database: Database, _ body: (StateChange) -> Void) throws {
        let sql = "SELECT token, key_authorization, domain, created_at FROM challenges WHERE revision > ?"
        let rows = try Row.fetchCursor(database, sql: sql, arguments: [revision])
        while let row = try rows.next() {
            let challenge = ACMEChallenge(
                token: row["token"], keyAuthorization: row["key_authorization"], domain: row["domain"],
                createdAt: row["created_at"])
            if let challenge { body(.challenge(challenge)) }
        }
    }

    private func readDeletions(since revision: Int, _ database: Database, _ body: (StateChange) -> Void) throws {
        let sql = "SELECT kind, name FROM deletions WHERE revision > ?"
        let rows = try Row.fetchCursor(database, sql: sql, arguments: [revision])
        while let row = try rows.next() {
            let kind: String = row["kind"]
            if kind == Self.challengeKind {
                body(.challengeDeleted(token: row["name"]))
            } else if let kind = ItemKind(rawValue: kind) {
                body(.deleted(ItemID(kind, row["name"])))
            }
        }
    }

    /// What marks the deletion of a challenge, which is no item.
    static let challengeKind = "challenge"

    /// The directory that the latest generation's relative paths start from.
    public func directory() throws(StateError) -> String? {
        try read { database in
            try String.fetchOne(database, sql: "SELECT directory FROM generations ORDER BY number DESC LIMIT 1")
        }
    }

    /// A certificate with its chain and sealed key.
    public func certificate(named name: String) throws(StateError) -> StoredCertificate? {
        try read { database in
            let sql = "SELECT \(Self.factColumns), chain, sealed_key FROM certificates WHERE name = ?"
            return try Row.fetchOne(database, sql: sql, arguments: [name]).map(certificate)
        }
    }

    /// A setting.
    public func setting(_ name: SettingName) throws(StateError) -> [UInt8]? {
        try read { database in
            try Row.fetchOne(database, sql: "SELECT value FROM settings WHERE name = ?", arguments: [name.rawValue])
                .map { bytes($0, "value") }
        }
    }

    /// The generations, newest first.
    public func generations() throws(StateError) -> [Generation] {
        try read { database in
            try Row.fetchAll(database, sql: "SELECT * FROM generations ORDER BY number DESC").map { row in
                Generation(
                    number: row["number"], startedAt: row["started_at"], who: row["who"], fileName: row["file_name"],
                    directory: row["directory"], fileHash: row["file_hash"],
                    outcome: Generation.Outcome(rawValue: row["outcome"]) ?? .unfinished, summary: row["summary"])
            }
        }
    }

    /// The text of a generation's file, sealed.
    public func sealedText(ofGeneration number: Int) throws(StateError) -> [UInt8]? {
        try read { database in
            let sql = "SELECT sealed_text FROM generation_texts WHERE number = ?"
            return try Row.fetchOne(database, sql: sql, arguments: [number]).map { bytes($0, "sealed_text") }
        }
    }

    /// The names of all certificates and their sealed keys.
    public func sealedKeys() throws(StateError) -> [(name: String, sealedKey: [UInt8])] {
        try read { database in
            try Row.fetchAll(database, sql: "SELECT name, sealed_key FROM certificates ORDER BY name")
                .map { (name: $0["name"], sealedKey: bytes($0, "sealed_key")) }
        }
    }

    // MARK: Rows

    private static let factColumns = """
        name, owner, record, domains, source, issuer_common_name, not_before, expires_at, auto_renew, created_at, \
        fingerprint, source_digest
        """

    private static let itemColumns = "kind, name, owner, record"

    /// An item of `itemColumns`, by their places: there are very many, and names are looked up for each row.
    private func item(_ row: Row) -> (ItemID, StoredItem)? {
        guard let kind = ItemKind(rawValue: row[0]) else { return nil }
        // The row lends the blob for the length of the closure, where it is copied once.
        let record = try? row.withUnsafeData(atIndex: 3) { data in unsafe data?.withUnsafeBytes { unsafe Array($0) } }
        let owner = StoredItem.Owner(rawValue: row[2]) ?? .api
        return (ItemID(kind, row[1]), StoredItem(owner: owner, record: (record ?? nil) ?? []))
    }

    private func certificate(_ row: Row) -> StoredCertificate {
        StoredCertificate(
            name: row["name"], owner: owner(row), record: bytes(row, "record"), facts: facts(row),
            chain: bytes(row, "chain"), sealedKey: bytes(row, "sealed_key"))
    }

    private func certificateItem(_ row: Row) -> StoredItem {
        StoredItem(owner: owner(row), record: bytes(row, "record"), certificate: facts(row))
    }

    private func facts(_ row: Row) -> CertificateFacts {
        let domains: String = row["domains"]
        return CertificateFacts(
            domains: domains.split(separator: " ").map(String.init),
            source: CertificateFacts.Source(rawValue: row["source"]) ?? .custom,
            issuerCommonName: row["issuer_common_name"], notBefore: row["not_before"], expiresAt: row["expires_at"],
            autoRenew: row["auto_renew"], createdAt: row["created_at"], fingerprint: row["fingerprint"],
            sourceDigest: bytes(row, "source_digest"))
    }

    private func owner(_ row: Row) -> StoredItem.Owner { StoredItem.Owner(rawValue: row["owner"]) ?? .api }

    private func bytes(_ row: Row, _ column: String) -> [UInt8] {
        let data: Data? = row[column]
        return data.map(Array.init) ?? []
    }
}
