import Dispatch
import SQLiteState
import State
import Synchronization

/// The state as it is before anything is done, read while the file is still being checked: with very many hosts each takes
/// a good part of a second.
final class EarlyState: Sendable {
    /// What there is: no store when there is no state yet.
    struct Content: Sendable {
        let store: SQLiteStateStore?
        let snapshot: StateSnapshot
    }

    private let result = Mutex<Result<Content, StateError>?>(nil)
    private let isRead = DispatchSemaphore(value: 0)

    /// Begins to read the state at a path, and makes no file.
    init(path: String) {
        DispatchQueue.global().async { [self] in
            let read = Self.read(path)
            result.withLock { $0 = read }
            isRead.signal()
        }
    }

    /// What was read, as soon as it is. To be asked once.
    func wait() throws(StateError) -> Content {
        isRead.wait()
        guard let result = result.withLock({ $0 }) else { preconditionFailure("the signal comes after the result") }
        return try result.get()
    }

    private static func read(_ path: String) -> Result<Content, StateError> {
        do throws(StateError) {
            let store = try SQLiteStateStore(readingFrom: path)
            // What this apply does not read may be damaged too, and "no changes" would hide it.
            try store?.check()
            return .success(Content(store: store, snapshot: try store?.snapshot() ?? .empty))
        } catch {
            return .failure(error)
        }
    }
}
