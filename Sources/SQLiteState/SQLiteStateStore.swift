import GRDB
import PrivateFiles
import State
import SystemPackage

// SQLiteState: the state in an SQLite file, through GRDB.
//
// One table a kind of thing; each row bears the revision that wrote it, and rows that go leave a mark in `deletions`, so a
// reader asks for what changed since a revision and pays for that alone. Every write is one transaction, synced to disk.

/// The state in an SQLite database in WAL mode.
package final class SQLiteStateStore: StateStore {
    /// The state's file.
    package let path: String
    let database: DatabaseQueue
    /// How long another process that has the state locked is waited for, in milliseconds.
    private let patience: Int
    /// Which file was there before the database was opened.
    private let file: StateFile.Identity?
    /// For who follows a state, and so must outlive what befalls its files. An apply may end anywhere.
    private let index: IndexGuard?

    /// Opens a state for reading and writing, makes it when there is none, and brings it up to this version.
    ///
    /// Its directory and file are made for the owner alone, in one step each.
    package init(path: String) throws(StateError) {
        self.path = path
        patience = Self.usualPatience
        index = nil
        (file, database) = try Self.translating(path, patience) {
            // Of two first applies one makes the file and the tables.
            try PrivateDirectory.exclusively(in: FilePath(path).removingLastComponent()) {
                try StateFile.create(path, Self.configuration(.making))
                try StateFile.refuseMisjudged(path)
                let file = StateFile.identity(path)
                let database = try DatabaseQueue(path: path, configuration: Self.configuration(.making))
                // GRDB lowers it where it turns WAL on, after the configuration had its say.
                try database.inDatabase { try $0.execute(sql: Self.syncEachCommit) }
                try StateSchema.migrate(database, path: path)
                return (file, database)
            }
        }
    }

    /// Opens a state that an apply has made, for reading and writing, and brings it up to this version; makes no file.
    ///
    /// It is for those who follow a state: nil when there is none yet, or an apply has only begun it. Each use of it waits for
    /// a process that has the state locked, for so many milliseconds at most.
    ///
    /// - Throws: `StateError.tooNew` for a newer version's, `.unreadable` for what is no state.
    package init?(following path: String, patienceMilliseconds: Int = usualPatience) throws(StateError) {
        self.path = path
        patience = patienceMilliseconds
        index = IndexGuard(path)
        let configuration = Self.configuration(.following, patience)
        let seconds = max(patienceMilliseconds / 1000, 1)
        let opened: (StateFile.Identity, DatabaseQueue)? = try Self.translating(path, patience) {
            guard StateFile.identity(path) != nil else { return nil }
            let folder = FilePath(path).removingLastComponent()
            return try PrivateDirectory.exclusively(in: folder, patienceSeconds: seconds) {
                guard let file = StateFile.identity(path) else { return nil }
                try StateFile.refuseMisjudged(path)
                let database = try DatabaseQueue(
                    path: StateFile.address(path, "mode=rw"), configuration: configuration)
                guard try StateSchema.isPresent(database, path: path) else { return nil }
                try StateSchema.migrate(database, path: path)
                return (file, database)
            }
        }
        guard let opened else { return nil }
        (file, database) = opened
    }

    /// Opens a state for reading alone and without making any file; nil when there is none.
    ///
    /// - Throws: `StateError.tooNew` for a newer version's, `.unreadable` for what is no state.
    package init?(readingFrom path: String) throws(StateError) {
        self.path = path
        patience = Self.usualPatience
        index = nil
        file = StateFile.identity(path)
        let opened: DatabaseQueue? = try Self.translating(path, patience) {
            guard let address = try StateFile.addressForReading(path) else { return nil }
            try StateFile.refuseMisjudged(path)
            let database = try DatabaseQueue(path: address, configuration: Self.configuration(.reading))
            return try StateSchema.current(database, path: path)
        }
        guard let opened else { return nil }
        database = opened
    }

    /// Takes what was overwritten or deleted out of the files: folds the -wal file into the database and empties it.
    ///
    /// - Throws: `StateError` when that is not possible, as while another process reads; what was committed stays so.
    package func scrub() throws(StateError) {
        try Self.translating(path, patience) {
            _ = try database.writeWithoutTransaction { try $0.checkpoint(.truncate) }
        }
    }

    /// Ends the use of the database. The last one to close folds the -wal file into the database and takes it away.
    package func close() {
        let close = { [database] in _ = try? database.close() }
        if let index { index.closing(close) } else { close() }
    }

    /// Whether the file that is open is still the one at its path. If not, it was deleted or replaced, and what is read
    /// here comes from a file that nobody else writes any more.
    package var isInPlace: Bool { file == StateFile.identity(path) }

    /// What to do about a file that others than its owner can read or write; nil when they can't. To make a state of such
    /// a file is refused; who follows one had better serve it and say so.
    package var exposure: String? {
        (try? FilePath(path).stat().permissions).flatMap { StateFile.exposure($0, path) }
    }

    /// What a database is opened for.
    private enum Purpose { case making, following, reading }

    /// How long others are waited for, in milliseconds: far longer than a commit takes.
    package static let usualPatience = 10_000

    /// What was acknowledged survives a power cut.
    private static let syncEachCommit = "PRAGMA synchronous = FULL"

    private static func configuration(_ purpose: Purpose, _ patience: Int = usualPatience) -> GRDB.Configuration {
        var configuration = GRDB.Configuration()
        configuration.readonly = purpose == .reading
        configuration.busyMode = .timeout(Double(patience) / 1000)
        // The file remembers it; setting it would write into one that an apply has only begun.
        if purpose == .making { configuration.journalMode = .wal }
        configuration.prepareDatabase { database in
            if purpose != .reading { try database.execute(sql: Self.syncEachCommit) }
            // Temporary tables never reach a file.
            try database.execute(sql: "PRAGMA temp_store = MEMORY")
            // A key that is deleted must not stay in free pages.
            if purpose != .reading { try database.execute(sql: "PRAGMA secure_delete = ON") }
        }
        return configuration
    }

    func read<Value>(_ body: (Database) throws -> Value) throws(StateError) -> Value {
        try Self.translating(path, patience) { try database.read { database in try reading { try body(database) } } }
    }

    func write<Value>(_ body: (Database) throws -> Value) throws(StateError) -> Value {
        try Self.translating(path, patience) { try database.writeWithoutTransaction { try commit($0, body) } }
    }

    /// Runs a single reading statement, for which `read`'s transaction would cost more than the statement.
    func readStatement<Value>(_ body: (Database) throws -> Value) throws(StateError) -> Value {
        try Self.translating(path, patience) {
            try database.unsafeRead { database in try reading { try body(database) } }
        }
    }

    /// Writes what may be lost with the machine, without waiting for the disk; a later synced write takes it along.
    func writeWithoutSync(_ body: (Database) throws -> Void) throws(StateError) {
        try Self.translating(path, patience) {
            try database.writeWithoutTransaction { database in
                try database.execute(sql: "PRAGMA synchronous = NORMAL")
                let outcome = Result { try commit(database, body) }
                try database.execute(sql: Self.syncEachCommit)
                try outcome.get()
            }
        }
    }

    private func reading<Value>(_ work: () throws -> Value) throws -> Value { try index?.reading(work) ?? work() }

    /// Runs a transaction, and commits it unless something is thrown.
    private func commit<Value>(_ database: Database, _ body: (Database) throws -> Value) throws -> Value {
        var value: Value?
        func run() throws {
            try database.inTransaction {
                value = try reading { try body(database) }
                return .commit
            }
        }
        if let index { try index.committing(run) } else { try run() }
        guard let value else { preconditionFailure("a transaction has committed that has not run") }
        return value
    }

    /// Runs database work and turns what goes wrong into errors for operators, without any value of a row.
    private static func translating<Value>(
        _ path: String, _ patience: Int, _ body: () throws -> Value
    ) throws(StateError) -> Value {
        do {
            return try body()
        } catch let error as StateError {
            throw error
        } catch let error as DatabaseError {
            let reason = error.message ?? "\(error.resultCode)"
            switch error.resultCode {
            case .SQLITE_NOTADB, .SQLITE_CORRUPT: throw .unreadable(path: path, reason: reason)
            case .SQLITE_BUSY: throw .busy(path: path, waitedMilliseconds: patience)
            default: throw .failed(path: path, reason: reason)
            }
        } catch {
            throw .failed(path: path, reason: "\(error)")
        }
    }
}
