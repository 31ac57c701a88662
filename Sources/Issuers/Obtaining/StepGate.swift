import Glibc
import Synchronization

/// Lets a process end without losing what a CA has just done for it.
///
/// Some steps change something at a CA that can be found again only by the CA's answer: an order is known by the URL in
/// the answer. Such a step lasts from the request until the journal has the answer. A process that wants to end closes
/// its gate: then no step begins any more, and the process waits until the open steps have ended. Each thread that does
/// such work belongs to one gate.
package final class StepGate: Sendable {
    private struct State {
        var open = 0
        var isClosed = false
        var whenIdle: [@Sendable () -> Void] = []
    }

    /// What is known of a thread.
    private struct Work {
        let gate: StepGate
        var isInStep = false
        /// Whether a step was not begun, or failed, because the gate was closed.
        var isCutShort = false
    }

    /// The work of each thread that belongs to a gate. (`WaitNote` says why this is no task-local value.)
    private static let works = Mutex<[pthread_t: Work]>([:])

    private let state = Mutex(State())

    package init() {}

    /// A step was not begun, since the process ends.
    struct Closed: Error, CustomStringConvertible {
        let description = "the program ends"
    }

    /// How long a process should wait for its open steps, in seconds. A request takes up to 30 s, and whoever ends the
    /// process expects it to end soon.
    package static let patienceSeconds: Int64 = 15

    /// Does work whose steps belong to this gate.
    package func including<Value>(_ work: () throws -> Value) rethrows -> Value {
        let thread = pthread_self()
        Self.works.withLock { $0[thread] = Work(gate: self) }
        defer { Self.works.withLock { $0[thread] = nil } }
        return try work()
    }

    /// From now on no step begins. Calls `whenIdle` when no step is open any more, which may be at once.
    package func close(whenIdle: @escaping @Sendable () -> Void) {
        let isIdle = state.withLock { state in
            state.isClosed = true
            if state.open > 0 { state.whenIdle.append(whenIdle) }
            return state.open == 0
        }
        if isIdle { whenIdle() }
    }

    /// Whether a step of this thread was cut short because its gate was closed. What the thread reports then says
    /// nothing about the CA.
    package static var isCutShort: Bool { works.withLock { $0[pthread_self()]?.isCutShort ?? false } }

    package var hasOpenSteps: Bool { state.withLock { $0.open > 0 } }

    /// Does one step. A thread without a gate just does it, and a step within a step is part of it.
    ///
    /// - Throws: `Closed` if the gate of this thread is closed; else what `work` throws.
    static func step<Value>(_ work: () throws -> Value) throws -> Value {
        let current = works.withLock { $0[pthread_self()] }
        guard let gate = current?.gate, current?.isInStep == false else { return try work() }
        try gate.enter()
        defer { gate.leave() }
        do {
            return try work()
        } catch {
            if gate.state.withLock({ $0.isClosed }) { works.withLock { $0[pthread_self()]?.isCutShort = true } }
            throw error
        }
    }

    /// Makes a wait one that keeps no process from ending, although the thread waits within a step: nothing is under
    /// way then.
    static func interrupting(
        _ wait: @escaping @Sendable (Duration) -> Void
    ) -> @Sendable (Duration) throws -> Void {
        { duration in
            let work = works.withLock { $0[pthread_self()] }
            guard let work, work.isInStep else { return wait(duration) }
            work.gate.leave()
            wait(duration)
            try work.gate.enter()
        }
    }

    private func enter() throws(Closed) {
        let isClosed = state.withLock { state in
            if !state.isClosed { state.open += 1 }
            return state.isClosed
        }
        Self.works.withLock { works in
            works[pthread_self()]?.isInStep = !isClosed
            if isClosed { works[pthread_self()]?.isCutShort = true }
        }
        if isClosed { throw Closed() }
    }

    /// Ends the step, unless a wait has ended it.
    private func leave() {
        let wasInStep = Self.works.withLock { works in
            defer { works[pthread_self()]?.isInStep = false }
            return works[pthread_self()]?.isInStep ?? false
        }
        guard wasInStep else { return }
        let observers = state.withLock { state -> [@Sendable () -> Void] in
            state.open -= 1
            guard state.open == 0 else { return [] }
            defer { state.whenIdle = [] }
            return state.whenIdle
        }
        observers.forEach { $0() }
    }
}
