import Foundation
import GRDB
import State
import TestSupport
import Testing

@testable import SQLiteState

/// What the check of a state finds if a page of its file is lost.
@Suite struct DamageTests {
    private let folder: TemporaryFolder
    private let path: String

    init() throws {
        folder = try TemporaryFolder()
        path = folder.path("state/state.db")
    }

    private func store() throws -> SQLiteStateStore { try .leased(path) }

    /// All tables of a state, as SQLite lists them, and their indices. Triggers have no pages.
    private static func trees() throws -> [String] {
        let folder = try TemporaryFolder()
        let store = try SQLiteStateStore(path: folder.path("state.db"))
        return try store.database.read {
            try String.fetchAll($0, sql: "SELECT name FROM sqlite_schema WHERE rootpage > 0")
        }
    }

    /// Writes zeros over a page of the state's file. `find` returns the page's number. No store may have the state
    /// open.
    private func zeroPage(_ find: (Database) throws -> Int?) throws {
        let (page, bytes) = try {
            let queue = try DatabaseQueue(path: path)
            return try queue.write { database in
                (try find(database), try Int.fetchOne(database, sql: "PRAGMA page_size") ?? 0)
            }
        }()
        guard let page else { return }
        let file = try FileHandle(forUpdating: URL(filePath: path))
        try file.seek(toOffset: UInt64((page - 1) * bytes))
        try file.write(contentsOf: Data(count: bytes))
        try file.close()
    }

    private func checkFinds(_ reason: String, wholeUpTo most: Int) throws {
        #expect(throws: StateError.unreadable(path: path, reason: reason)) {
            try SQLiteStateStore(readingFrom: path)?.check(wholeUpTo: most)
        }
    }

    @Test(
        "A lost page is found in each table and index, in small and large states",
        arguments: try DamageTests.trees(), [Int.max, 0])
    func damage(_ tree: String, wholeUpTo most: Int) throws {
        try {
            let store = try store()
            try store.commit([.putItem(host, owner: .file, record: [1])], by: me)
            try store.check(wholeUpTo: most)
        }()
        var table = ""
        try zeroPage { database in
            table =
                try String.fetchOne(
                    database, sql: "SELECT tbl_name FROM sqlite_schema WHERE name = ?", arguments: [tree]) ?? ""
            return try Int.fetchOne(
                database, sql: "SELECT rootpage FROM sqlite_schema WHERE name = ?", arguments: [tree])
        }
        // Opening a state reads grdb_migrations, so its damage shows at once.
        let isOpened = tree != "grdb_migrations"
        try checkFinds(
            isOpened ? "the table '\(table)' is damaged" : "database disk image is malformed", wholeUpTo: most)
    }

    @Test(
        "A truncated text is found: any in a small state, in a large one those the next apply needs",
        arguments: [(1, Int.max), (60, Int.max), (120, Int.max), (1, 0), (21, 0), (120, 0)])
    func damagedText(_ number: Int, wholeUpTo most: Int) throws {
        try putTexts(120)
        try zeroPage { database in
            // Each overflow page of a text begins with the number of the next one.
            try Int.fetchOne(
                database,
                sql: """
                    SELECT pageno FROM dbstat WHERE name = 'generation_texts' AND pagetype = 'overflow'
                    ORDER BY path LIMIT 1 OFFSET (? - 1) * (SELECT count(*) / 120 FROM dbstat
                        WHERE name = 'generation_texts' AND pagetype = 'overflow')
                    """, arguments: [number])
        }
        try checkFinds("the table 'generation_texts' is damaged", wholeUpTo: most)
    }

    private func putTexts(_ count: Int) throws {
        let store = try store()
        for number in 1...count {
            let generation = Generation(
                number: number, startedAt: 0, who: "", fileName: "", directory: "", fileHash: "", outcome: .complete,
                summary: "")
            try store.commit(
                [.putGeneration(generation, sealedText: Array(repeating: 7, count: 20_000))], by: me)
        }
        try store.check(wholeUpTo: .max)
        try store.check(wholeUpTo: 0)
    }

    @Test("Damage among free pages is found in a small state")
    func damagedFreePages() throws {
        try putTexts(10)
        try zeroPage { database in
            try database.execute(sql: "DELETE FROM generation_texts WHERE number < 9")
            return nil
        }
        // The file header contains the number of the first free page (https://sqlite.org/fileformat.html#the_freelist).
        let header = try Array(Data(contentsOf: URL(filePath: path)).prefix(100))
        let first = header[32..<36].reduce(0) { $0 << 8 | Int($1) }
        try zeroPage { _ in first }
        try checkFinds("its free pages are damaged", wholeUpTo: .max)
    }
}
