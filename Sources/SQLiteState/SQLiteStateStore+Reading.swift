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

    /// The revision of the last commit.
    public func revision() throws(StateError) -> Int {
        try read { try Int.fetchOne($0, sql: "SELECT revision FROM position") ?? 0 }
    }

    /// What has changed since a revision, by the indexes on it; nil when that can't be told any more.
    public func changes(since revision: Int) throws(StateError) -> StateChanges? {
        try read { database in
            let position = try Row.fetchOne(database, sql: "SELECT revision, pruned_revision FROM position")
            let latest: Int = position?["revision"] ?? 0
            guard (position?["pruned_revision"] ?? 0)...latest ~= revision else { return nil }
            var changes = StateChanges(revision: latest, put: [:], deleted: [])
            let items = try Row.fetchCursor(
                database, sql: "SELECT \(Self.itemColumns) FROM items WHERE revision > ?", arguments: [revision])
            while let row = try items.next() {
                if let (id, item) = item(row) { changes.put[id] = item }
            }
            let certificates = try Row.fetchCursor(
                database, sql: "SELECT \(Self.factColumns) FROM certificates WHERE revision > ?", arguments: [revision])
            while let row = try certificates.next() {
                changes.put[ItemID(.certificate, row["name"])] = certificateItem(row)
            }
            let deletions = try Row.fetchCursor(
                database, sql: "SELECT kind, name FROM deletions WHERE revision > ?", arguments: [revision])
            while let row = try deletions.next() {
                if let kind = ItemKind(rawValue: row["kind"]) { changes.deleted.append(ItemID(kind, row["name"])) }
            }
            return changes
        }
    }

    /// A certificate with its chain and sealed key.
    public func certificate(named name: String) throws(StateError) -> StoredCertificate? {
        try read { database in
            let sql = "SELECT \(Self.factColumns), chain, sealed_key FROM certificates WHERE name = ?"
            return try Row.fetchOne(database, sql: sql, arguments: [name]).map { row in
                StoredCertificate(
                    name: name, owner: owner(row), record: bytes(row, "record"), facts: facts(row),
                    chain: bytes(row, "chain"), sealedKey: bytes(row, "sealed_key"))
            }
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
