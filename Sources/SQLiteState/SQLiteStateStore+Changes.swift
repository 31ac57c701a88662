import GRDB
import State

extension SQLiteStateStore {
    /// Tells what has changed since a revision, row by row: what is told is nowhere held twice. Nil when that can't be told
    /// any more.
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

    /// What marks the deletion of a challenge, which is no item.
    static let challengeKind = "challenge"

    /// Changes whenever another connection has committed, but not by commits of this store itself.
    ///
    /// Read it before reading what changed: what is committed in between is then noticed the next time. It costs a few
    /// microseconds (https://sqlite.org/pragma.html#pragma_data_version).
    package func dataVersion() throws(StateError) -> Int {
        try readStatement { try Int.fetchOne($0.cachedStatement(sql: "PRAGMA data_version")) ?? 0 }
    }
}

/// One reading of what changed since a revision.
private struct ChangeReading {
    let database: Database
    let revision: Int

    func items(_ kind: ItemKind, _ body: (StateChange) -> Void) throws {
        // All of a kind stand together in the table. For a change the index on the revision alone serves: the plus sign
        // keeps SQLite from looking through all of a kind.
        let condition = revision == 0 ? "kind = ?2 AND revision > ?1" : "+kind = ?2 AND revision > ?1"
        try forEach("SELECT \(Columns.item) FROM items WHERE \(condition)", [revision, kind.rawValue]) { row in
            if let (id, item) = row.item { body(.item(id, item)) }
        }
    }

    func certificates(_ body: (StateChange) -> Void) throws {
        // Since 0 it is all of them, and their order in the table the fastest.
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
        // Who has seen nothing yet has nothing to forget.
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
