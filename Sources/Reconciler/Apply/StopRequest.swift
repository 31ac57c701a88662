import Synchronization

/// The operator's wish that an apply ends soon: what is under way is brought to a good end, and nothing new is begun.
package final class StopRequest: Sendable {
    private struct State {
        var isMade = false
        var observers: [@Sendable () -> Void] = []
    }

    private let state = Mutex(State())

    /// A request that is not made yet.
    package init() {}

    /// Whether it was made.
    package var isMade: Bool { state.withLock { $0.isMade } }

    /// Makes it. Any thread may.
    package func make() {
        let observers = state.withLock { state in
            state.isMade = true
            return state.observers
        }
        observers.forEach { $0() }
    }

    /// Calls `observer` when it is made, on the thread that makes it.
    func onMade(_ observer: @escaping @Sendable () -> Void) {
        let isMade = state.withLock { state in
            state.observers.append(observer)
            return state.isMade
        }
        if isMade { observer() }
    }
}
