import CMappedIndex
import State
import Synchronization

/// Keeps a process that follows a state alive when somebody cuts its -shm file short; see `CMappedIndex`.
struct IndexGuard {
    private static let registration = Mutex(())

    /// The state's file.
    private let path: String

    /// Guards the state of a path from now on, to the end of the process.
    init(_ path: String) {
        self.path = path
        // Two threads may open a state at once. The path is copied within the call.
        Self.registration.withLock { _ in unsafe aegis_guard_index(path + "-shm") }
    }

    /// Does what reads by the index.
    ///
    /// - Throws: `StateError.failed` when the index had to be made anew meanwhile, since what was read may be wrong.
    func reading<Value>(_ work: () throws -> Value) throws -> Value {
        let before = aegis_index_mends()
        let outcome = Result { try work() }
        guard aegis_index_mends() == before else {
            throw StateError.failed(path: path, reason: "somebody has cut its -shm file short, which is made anew")
        }
        return try outcome.get()
    }

    /// Does what ends with a commit. When the index had to be made anew meanwhile, SQLite makes it once more afterwards: what
    /// was entered into the new one lacks what had been in the old one.
    func committing<Value>(_ work: () throws -> Value) rethrows -> Value {
        aegis_mend_index()
        let before = aegis_index_mends()
        defer { if aegis_index_mends() != before { aegis_renew_index() } }
        return try work()
    }

    /// Does what may fold the -wal file into the database and remove it. An index that is cut short just then ends the
    /// process: with zeros in the place of a part of it, SQLite would pass over commits.
    func closing(_ work: () -> Void) {
        aegis_mend_index()
        aegis_need_index(1)
        work()
        aegis_need_index(0)
    }
}
