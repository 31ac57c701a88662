import GRDB
import State

extension SQLiteStateStore {
    /// Has SQLite look through each table and its indices for pages that are damaged or missing.
    ///
    /// The texts of generations are left out: they are most of a state, and only a rollback reads them.
    public func check() throws(StateError) {
        try read { database in
            let tables = try String.fetchAll(database, sql: "SELECT name FROM sqlite_schema WHERE type = 'table'")
            for table in tables where table != "generation_texts" {
                // https://sqlite.org/pragma.html#pragma_quick_check
                let found = try String.fetchOne(database, sql: "PRAGMA quick_check('\(table)')") ?? "no answer"
                guard found == "ok" else { throw damaged("the table '\(table)' is damaged") }
            }
            guard try Int.fetchOne(database, sql: "SELECT count(*) FROM position") == 1 else {
                throw damaged("it has lost its position")
            }
        }
    }

    private func damaged(_ reason: String) -> StateError { .unreadable(path: path, reason: reason) }
}
