import GRDB
import PrivateFiles
import State
import SystemPackage

// SQLiteState: the state in an SQLite file, through GRDB.
//
// One table a kind of thing; each row bears the revision that wrote it, and rows that go leave a mark in `deletions`, so a
// reader asks for what changed since a revision and pays for that alone. Every write is one transaction, synced to disk.

/// The state in an SQLite database in WAL mode.
public final class SQLiteStateStore: StateStore {
    let path: String
    let database: DatabaseQueue

    /// Opens a state for reading and writing, makes it when there is none, and brings it up to this version.
    ///
    /// Its directory and file are made for the owner alone, in one step each.
    public init(path: String) throws(StateError) {
        self.path = path
        database = try Self.translating(path) {
            try StateFile.create(path)
            // Of two first applies one makes the tables.
            return try PrivateDirectory.exclusively(in: FilePath(path).removingLastComponent()) {
                let database = try DatabaseQueue(path: path, configuration: Self.configuration(readOnly: false))
                try StateSchema.migrate(database, path: path)
                return database
            }
        }
    }

    /// Opens a state for reading alone and without making any file; nil when there is none.
    ///
    /// - Throws: `StateError.tooNew` for a newer version's, `.unreadable` for what is no state.
    public init?(readingFrom path: String) throws(StateError) {
        self.path = path
        let opened: DatabaseQueue? = try Self.translating(path) {
            guard let address = try StateFile.addressForReading(path) else { return nil }
            let database = try DatabaseQueue(path: address, configuration: Self.configuration(readOnly: true))
            return try StateSchema.current(database, path: path)
        }
        guard let opened else { return nil }
        database = opened
    }

    /// Opens a state that is there for reading and writing, and brings it up to this version; nil when there is none yet.
    /// For gateways, which wait for what apply makes.
    public static func opening(_ path: String) throws(StateError) -> SQLiteStateStore? {
        guard let reader = try SQLiteStateStore(readingFrom: path) else { return nil }
        reader.close()
        return try SQLiteStateStore(path: path)
    }

    /// Ends the use of the database. The last one to close folds the -wal file into the database and takes it away.
    public func close() { try? database.close() }

    private static func configuration(readOnly: Bool) -> GRDB.Configuration {
        var configuration = GRDB.Configuration()
        configuration.readonly = readOnly
        configuration.busyMode = .timeout(10)
        if !readOnly { configuration.journalMode = .wal }
        configuration.prepareDatabase { database in
            // FULL: what was acknowledged survives a power cut. Temporary tables never reach a file.
            if !readOnly { try database.execute(sql: "PRAGMA synchronous = FULL") }
            try database.execute(sql: "PRAGMA temp_store = MEMORY")
        }
        return configuration
    }

    func read<Value>(_ body: (Database) throws -> Value) throws(StateError) -> Value {
        try Self.translating(path) { try database.read(body) }
    }

    func write<Value>(_ body: (Database) throws -> Value) throws(StateError) -> Value {
        try Self.translating(path) { try database.write(body) }
    }

    /// Runs database work and turns what goes wrong into errors for operators, without any value of a row.
    private static func translating<Value>(_ path: String, _ body: () throws -> Value) throws(StateError) -> Value {
        do {
            return try body()
        } catch let error as StateError {
            throw error
        } catch let error as DatabaseError {
            let reason = error.message ?? "\(error.resultCode)"
            switch error.resultCode {
            case .SQLITE_NOTADB, .SQLITE_CORRUPT: throw .unreadable(path: path, reason: reason)
            case .SQLITE_BUSY: throw .busy(path: path)
            default: throw .failed(path: path, reason: reason)
            }
        } catch {
            throw .failed(path: path, reason: "\(error)")
        }
    }
}
