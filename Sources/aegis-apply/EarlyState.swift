import Dispatch
import SQLiteState
import State
import Synchronization

/// Reads the state on a thread of its own while the file is being checked. With very many hosts, both take a large part
/// of a second.
final class EarlyState: Sendable {
    /// The state before the apply changes it. `store` is nil when there is no state yet.
    struct Content: Sendable {
        let store: SQLiteStateStore?
        let snapshot: StateSnapshot
    }

    private let result = Mutex<Result<Content, StateError>?>(nil)
    private let isRead = DispatchSemaphore(value: 0)

    /// Starts to read the state at a path. Creates no file.
    init(path: String) {
        DispatchQueue.global().async { [self] in
            let read = Self.read(path)
            result.withLock { $0 = read }
            isRead.signal()
        }
    }

    /// Waits for the state. Call it only once.
    func wait() throws(StateError) -> Content {
        isRead.wait()
        guard let result = result.withLock({ $0 }) else { preconditionFailure("the signal comes after the result") }
        return try result.get()
    }

    private static func read(_ path: String) -> Result<Content, StateError> {
        do throws(StateError) {
            let store = try SQLiteStateStore(readingFrom: path)
            // The check comes first: the apply may not need the damaged part, and would then report "no changes".
            try store?.check()
            return .success(Content(store: store, snapshot: try store?.snapshot() ?? .empty))
        } catch {
            return .failure(error)
        }
    }
}
