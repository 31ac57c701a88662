import GRDB
import State

extension SQLiteStateStore {
    /// Calls `body` with each change since a revision, row by row, so that memory does not hold all changes. Returns
    /// nil when the changes are no longer known.
    @discardableResult
    package func readChanges(
        since revision: Int, _ body: (StateChange) -> Void
    ) throws(StateError) -> StatePosition? {
        try read { database in
            let position = try position(in: database)
            let pruned = try Int.fetchOne(database, sql: "SELECT pruned_revision FROM position") ?? 0
            guard revision == 0 || pruned...position.revision ~= revision else { return nil }
            let reading = ChangeReading(database: database, revision: revision)
            for kind in ItemKind.allCases {
                if kind == .certificate { try reading.certificates(body) } else { try reading.items(kind, body) }
            }
            try reading.challenges(body)
            try reading.deletions(body)
            return position
        }
    }

    /// The value of the column `kind` in the table `deletions` for a deleted challenge. Challenges are not items, so
    /// `ItemKind` does not have it.
    static let challengeKind = "challenge"

    package func dataVersion() throws(StateError) -> Int { try readStatement(Self.dataVersion) }

    package func settledDataVersion() throws(StateError) -> Int? {
        do throws(StateError) {
            return try whileNobodyWrites(Self.dataVersion)
        } catch .busy {
            return nil
        }
    }

    private static func dataVersion(in database: Database) throws -> Int {
        try Int.fetchOne(database.cachedStatement(sql: "PRAGMA data_version")) ?? 0
    }
}

private struct ChangeReading {
    let database: Database
    let revision: Int

    func items(_ kind: ItemKind, _ body: (StateChange) -> Void) throws {
        // From revision 0 all rows of the kind are read, and they are adjacent in the table. For few changes the index
        // on the revision is faster: the plus sign keeps SQLite from scanning all rows of the kind.
        let condition = revision == 0 ? "kind = ?2 AND revision > ?1" : "+kind = ?2 AND revision > ?1"
        try forEach("SELECT \(Columns.item) FROM items WHERE \(condition)", [revision, kind.rawValue]) { row in
            if let (id, item) = row.item { body(.item(id, item)) }
        }
    }

    func certificates(_ body: (StateChange) -> Void) throws {
        // From revision 0 all rows are read: the plus sign keeps SQLite from using the index, since scanning the table
        // is faster.
        let condition = revision == 0 ? "+revision > ?" : "revision > ?"
        try forEach("SELECT \(Columns.certificate) FROM certificates WHERE \(condition)", [revision]) { row in
            body(.certificate(row.certificate))
        }
    }

    func challenges(_ body: (StateChange) -> Void) throws {
        try forEach("SELECT \(Columns.challenge) FROM challenges WHERE revision > ?", [revision]) { row in
            if let challenge = row.challenge { body(.challenge(challenge)) }
        }
    }

    func deletions(_ body: (StateChange) -> Void) throws {
        // A reader that starts at 0 needs no deletions.
        guard revision > 0 else { return }
        try forEach("SELECT kind, name FROM deletions WHERE revision > ?", [revision]) { row in
            let kind = row.text(0)
            if kind == SQLiteStateStore.challengeKind {
                body(.challengeDeleted(token: row.text(1)))
            } else if let kind = ItemKind(rawValue: kind) {
                body(.deleted(ItemID(kind, row.text(1))))
            }
        }
    }

    private func forEach(_ sql: String, _ arguments: StatementArguments, _ body: (Columns) -> Void) throws {
        try Columns.forEach(database, sql, arguments, body)
    }
}
