import GRDB
import PrivateFiles
import State
import Synchronization
import SystemPackage

// SQLiteState: stores the state in an SQLite file, through GRDB.
//
// Certificates and challenges have a table each; all other items are in one table. Each row of these tables has the
// revision of the commit that wrote the row, and a deleted row leaves an entry in `deletions`. So a reader can ask for
// the changes since a revision, and the cost depends only on the number of changes. Every write is one transaction. All
// writes are synced to disk, except gateways' reports and the times at which tokens and sessions were used.

/// A store that keeps the state in an SQLite database in WAL mode.
package final class SQLiteStateStore: StateStore {
    package let path: String
    /// The connection. Only tests use it directly; all other code calls `using`.
    let database: DatabaseQueue
    private let isClosed = Mutex(false)
    /// How long to wait while another process has locked the state, in milliseconds.
    private let patience: Int
    /// The file's identity before the database was opened, to notice when the file is replaced.
    package let file: StateFileID?
    /// Set only by `init(following:)`, which gateways call. A gateway must not end when another process truncates the
    /// index.
    private let index: IndexGuard?

    /// Opens a state for reading and writing. Creates it when there is none, and migrates an older version.
    ///
    /// The directory and the file are readable only for their owner, from the moment of their creation.
    package init(path: String) throws(StateError) {
        self.path = path
        patience = Self.usualPatience
        index = nil
        (file, database) = try Self.translating(path, patience) {
            // If two first applies run at once, only one of them creates the file and the tables.
            try PrivateDirectory.exclusively(in: FilePath(path).removingLastComponent()) {
                try StateFile.create(path, Self.configuration(.making))
                try StateFile.refuseMisjudged(path)
                let file = StateFile.identity(path)
                let database = try DatabaseQueue(path: path, configuration: Self.configuration(.making))
                // GRDB lowers `synchronous` when it turns on WAL, after the configuration's own statements.
                try database.inDatabase { try $0.execute(sql: Self.syncEachCommit) }
                try StateSchema.migrate(database, path: path)
                return (file, database)
            }
        }
    }

    /// Opens an existing state for reading and writing, and migrates an older version. Creates no file.
    ///
    /// For gateways, which read a state again and again, and for commands that change an existing state without an
    /// apply. The result is nil when there is no state yet, or when an apply is just creating it. Each operation waits
    /// for a process that has locked the state, for at most `patienceMilliseconds`.
    ///
    /// - Throws: `StateError.tooNew` when a newer version wrote the state, `.unreadable` when the file is not a state.
    package init?(following path: String, patienceMilliseconds: Int = usualPatience) throws(StateError) {
        self.path = path
        patience = patienceMilliseconds
        index = IndexGuard(path)
        let configuration = Self.configuration(.following, patience)
        let seconds = max(patienceMilliseconds / 1000, 1)
        let opened: (StateFileID, DatabaseQueue)? = try Self.translating(path, patience) {
            guard try StateFile.isPresent(path) else { return nil }
            try StateFile.refuseOthers(path)
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

    /// Opens a state only for reading, without creating any file; nil when there is none.
    ///
    /// - Throws: `StateError.tooNew` when a newer version wrote the state, `.unreadable` when the file is not a state.
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

    /// Removes overwritten and deleted values from the files: checkpoints the -wal file and truncates it.
    ///
    /// - Throws: `StateError` when that is not possible, for example while another process reads. Commits stay in
    /// force.
    package func scrub() throws(StateError) {
        try using(patience) { _ = try $0.writeWithoutTransaction { try $0.checkpoint(.truncate) } }
    }

    /// Closes the database. The last process to close a database checkpoints and deletes the -wal file. Other threads may
    /// still call this store; they get errors.
    package func close() {
        isClosed.withLock { isClosed in
            guard !isClosed else { return }
            isClosed = true
            let close = { [database] in _ = try? database.close() }
            if let index { index.closing(close) } else { close() }
        }
    }

    /// Whether the open file is still the file at its path. If not, the open file was deleted or replaced, and other
    /// processes write to another file.
    package var isInPlace: Bool { file == StateFile.identity(path) }

    /// The advice for the operator when users other than the file's owner can read or write the file; nil when they
    /// can't. An apply refuses such a file; a gateway serves it and warns.
    package var exposure: String? {
        (try? FilePath(path).stat().permissions).flatMap { PrivateFile.exposure($0, path) }
    }

    private enum Purpose { case making, following, reading }

    /// How long to wait for a lock, in milliseconds: far longer than a commit takes.
    package static let usualPatience = 10_000

    /// With this setting, an acknowledged commit survives a power failure.
    private static let syncEachCommit = "PRAGMA synchronous = FULL"

    private static func configuration(_ purpose: Purpose, _ patience: Int = usualPatience) -> GRDB.Configuration {
        var configuration = GRDB.Configuration()
        configuration.readonly = purpose == .reading
        configuration.busyMode = .timeout(Double(patience) / 1000)
        // The file remembers that its mode is WAL. Setting the mode again would write to a file that an apply is just
        // creating.
        if purpose == .making { configuration.journalMode = .wal }
        configuration.prepareDatabase { database in
            if purpose != .reading { try database.execute(sql: Self.syncEachCommit) }
            // Temporary tables stay in memory, never in a file.
            try database.execute(sql: "PRAGMA temp_store = MEMORY")
            // Deleted keys must not remain in free pages.
            if purpose != .reading { try database.execute(sql: "PRAGMA secure_delete = ON") }
        }
        return configuration
    }

    func read<Value>(_ body: (Database) throws -> Value) throws(StateError) -> Value {
        try using(patience) { try $0.read { database in try reading { try body(database) } } }
    }

    func write<Value>(_ body: (Database) throws -> Value) throws(StateError) -> Value {
        try using(patience) { try $0.writeWithoutTransaction { try commit($0, body) } }
    }

    /// Runs a single reading statement. A transaction as in `read` would cost more than the statement.
    func readStatement<Value>(_ body: (Database) throws -> Value) throws(StateError) -> Value {
        try using(patience) { try $0.unsafeRead { database in try reading { try body(database) } } }
    }

    /// Reads under the lock for writing, without a wait.
    ///
    /// - Throws: `StateError.busy` when another connection is writing.
    func whileNobodyWrites<Value>(_ body: (Database) throws -> Value) throws(StateError) -> Value {
        try using(0) { queue in
            try queue.writeWithoutTransaction { database in
                try database.execute(sql: "PRAGMA busy_timeout = 0")
                let outcome = Result {
                    var value: Value?
                    try database.inTransaction(.immediate) {
                        value = try reading { try body(database) }
                        return .rollback
                    }
                    return value
                }
                try database.execute(sql: "PRAGMA busy_timeout = \(patience)")
                guard let value = try outcome.get() else { preconditionFailure("a transaction that has not run") }
                return value
            }
        }
    }

    /// Writes without waiting for the disk: a crash of the machine may lose the change. A later synced write also syncs
    /// the change. Without `waiting`, the call throws `StateError.busy` at once when another process is writing.
    func writeWithoutSync(waiting: Bool = true, _ body: (Database) throws -> Void) throws(StateError) {
        try using(waiting ? patience : 0) { queue in
            try queue.writeWithoutTransaction { database in
                try database.execute(sql: "PRAGMA synchronous = NORMAL")
                if !waiting { try database.execute(sql: "PRAGMA busy_timeout = 0") }
                let outcome = Result { try commit(database, body) }
                if !waiting { try database.execute(sql: "PRAGMA busy_timeout = \(patience)") }
                try database.execute(sql: Self.syncEachCommit)
                try outcome.get()
            }
        }
    }

    private func reading<Value>(_ work: () throws -> Value) throws -> Value { try index?.reading(work) ?? work() }

    /// Runs a transaction and commits it, unless `body` throws.
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

    /// Does work with the database, one thread at a time. GRDB crashes if a closed database is used, so no work begins
    /// after `close`.
    private func using<Value>(_ patience: Int, _ work: (DatabaseQueue) throws -> Value) throws(StateError) -> Value {
        try Self.translating(path, patience) {
            var value: Value?
            try isClosed.withLock { isClosed in
                guard !isClosed else { throw StateError.failed(path: path, reason: "it is closed") }
                value = try work(database)
            }
            guard let value else { preconditionFailure("work that has not run") }
            return value
        }
    }

    /// Runs database work and converts its errors into `StateError`s, which contain no value of a row.
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
