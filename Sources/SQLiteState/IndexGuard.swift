import CMappedIndex
import State
import Synchronization

/// Keeps this process alive when another process truncates the -shm file of a state that this process has open
/// (`CMappedIndex`). The -shm file is SQLite's index of the -wal file.
struct IndexGuard {
    private static let registration = Mutex(())

    private let path: String

    /// Guards the index of the state at `path` until the process ends.
    init(_ path: String) {
        self.path = path
        // The lock is needed, since two threads may open a state at once. The call is safe, since it copies the path.
        Self.registration.withLock { _ in unsafe aegis_guard_index(path + "-shm") }
    }

    /// Runs work that reads the database, for which SQLite uses the index.
    ///
    /// - Throws: `StateError.failed` if the index was recreated meanwhile, since the values that were read may be
    ///   wrong.
    func reading<Value>(_ work: () throws -> Value) throws -> Value {
        let before = aegis_index_mends()
        let outcome = Result { try work() }
        guard aegis_index_mends() == before else {
            throw StateError.failed(
                path: path, reason: "another process has truncated its -shm file, which is made again")
        }
        return try outcome.get()
    }

    /// Runs work that ends with a commit. If the index was recreated meanwhile, SQLite must rebuild it afterwards,
    /// since the recreated index lacks the entries of the old one.
    func committing<Value>(_ work: () throws -> Value) rethrows -> Value {
        aegis_mend_index()
        let before = aegis_index_mends()
        defer { if aegis_index_mends() != before { aegis_renew_index() } }
        return try work()
    }

    /// Runs work that may checkpoint and delete the -wal file. If the index is truncated just then, the process ends:
    /// with zeros in the index, SQLite would miss commits.
    func closing(_ work: () -> Void) {
        aegis_mend_index()
        aegis_need_index(1)
        work()
        aegis_need_index(0)
    }
}
