import Synchronization

/// An operator's request that an apply ends soon: running work is finished properly, and nothing new begins.
package final class StopRequest: Sendable {
    private struct State {
        var isMade = false
        var observers: [@Sendable () -> Void] = []
    }

    private let state = Mutex(State())
    /// Tells the operator what the apply still waits for.
    let tell: @Sendable (String) -> Void

    package init(tell: @escaping @Sendable (String) -> Void = { _ in }) { self.tell = tell }

    package var isMade: Bool { state.withLock { $0.isMade } }

    /// Makes the request. Thread-safe.
    package func make() {
        let observers = state.withLock { state in
            state.isMade = true
            return state.observers
        }
        observers.forEach { $0() }
    }

    /// Calls `observer` on the thread that makes the request. If the request was made before, calls it at once.
    func onMade(_ observer: @escaping @Sendable () -> Void) {
        let isMade = state.withLock { state in
            state.observers.append(observer)
            return state.isMade
        }
        if isMade { observer() }
    }
}
