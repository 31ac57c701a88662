import GRDB
import State

extension SQLiteStateStore {
    /// A state of up to this many bytes is checked completely. A larger state consists mostly of the texts of
    /// generations, and only a rollback reads the old texts.
    private static let mostBytesWhole = 64 << 20

    /// Lets SQLite look for damaged or missing pages.
    package func check() throws(StateError) { try check(wholeUpTo: Self.mostBytesWhole) }

    /// Checks a state of up to `most` bytes completely. In a larger state it skips free pages, and the texts of
    /// generations that the next apply neither rewrites nor deletes.
    func check(wholeUpTo most: Int) throws(StateError) {
        try read { database in
            try requireTables(in: database)
            let pages = try Int.fetchOne(database, sql: "PRAGMA page_count") ?? 0
            let pageBytes = try Int.fetchOne(database, sql: "PRAGMA page_size") ?? 0
            if pages * pageBytes <= most {
                if try !isWell(database) {
                    throw damaged(try damagedTable(among: StateSchema.tables(of: database), in: database))
                }
            } else {
                let others = try StateSchema.tables(of: database).filter { $0 != Self.texts }
                if let table = try damagedTable(among: others, in: database) { throw damaged(table) }
                do {
                    try readTextsInUse(database)
                } catch let error as DatabaseError where error.resultCode == .SQLITE_CORRUPT {
                    throw damaged(Self.texts)
                }
            }
            guard try Int.fetchOne(database, sql: "SELECT count(*) FROM position") == 1 else {
                throw StateError.unreadable(path: path, reason: "it has lost its position")
            }
        }
    }

    private static let texts = "generation_texts"

    /// Throws if the state lacks a table, which another program must have removed. Nothing else would notice that before
    /// the table is needed.
    func requireTables(in database: Database) throws {
        let present = Set(try StateSchema.tables(of: database))
        if let missing = Self.expectedTables.first(where: { !present.contains($0) }) {
            throw StateError.unreadable(path: path, reason: "the table '\(missing)' is missing")
        }
    }

    private static let expectedTables = (try? StateSchema.tables()) ?? []

    /// The first table that is damaged or has a damaged index; nil when there is none.
    private func damagedTable(among tables: [String], in database: Database) throws -> String? {
        try tables.first { try !isWell(database, $0) }
    }

    /// Whether SQLite finds no damage in a table, or in the whole database if the table is nil
    /// (https://sqlite.org/pragma.html#pragma_quick_check).
    private func isWell(_ database: Database, _ table: String? = nil) throws -> Bool {
        let argument = table.map { "('\($0)')" } ?? "(1)"
        return try String.fetchOne(database, sql: "PRAGMA quick_check\(argument)") == "ok"
    }

    /// Reads all rows of `generation_texts`. Reads a row's whole text only if the next apply rewrites or deletes the
    /// row.
    private func readTextsInUse(_ database: Database) throws {
        // `length` reads only the row's header; a comparison reads the whole text.
        let sql = """
            SELECT total(length(sealed_text)),
                total(CASE WHEN number = latest OR number <= latest + 1 - ? THEN sealed_text = x'' END)
            FROM \(Self.texts), (SELECT max(number) AS latest FROM \(Self.texts))
            """
        _ = try Row.fetchOne(database, sql: sql, arguments: [Retention.keptGenerationTexts])
    }

    private func damaged(_ table: String?) -> StateError {
        let what = table.map { "the table '\($0)' is damaged" } ?? "its free pages are damaged"
        return .unreadable(path: path, reason: what)
    }
}
