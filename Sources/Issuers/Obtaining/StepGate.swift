import Glibc
import Synchronization

/// Lets a process end without losing what a CA has just done for it.
///
/// A step is work that makes something at a CA which can be found again only by the CA's answer. An example is an
/// order, since only the answer has its URL. A step lasts from the request until the journal has the answer. A process
/// that wants to end closes its gate: then no step begins any more, and the process waits until the open steps have
/// ended. Each thread that does such work belongs to one gate.
package final class StepGate: Sendable {
    private struct State {
        /// The number of open steps for each `Work.step`.
        var open: [String: Int] = [:]
        var isClosed = false
        var whenIdle: [@Sendable () -> Void] = []
    }

    /// The state of a thread that belongs to a gate.
    private struct Work {
        let gate: StepGate
        /// What the step in progress waits for, such as `a new order`; nil outside of a step.
        var step: String?
        /// Whether the step is open, so that an ending process waits for it. False during `interrupting`.
        var isOpen = false
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

    /// How long a process should wait for its open steps, in seconds. A request may take up to 30 s, but an operator
    /// who ends the process expects it to end sooner.
    package static let patienceSeconds: Int64 = 15

    /// Runs work on this thread. The steps of the work belong to this gate.
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
            if !state.open.isEmpty { state.whenIdle.append(whenIdle) }
            return state.open.isEmpty
        }
        if isIdle { whenIdle() }
    }

    /// Whether a step of this thread was cut short because its gate was closed. If so, a failure that the thread
    /// reports says nothing about the CA.
    package static var isCutShort: Bool { works.withLock { $0[pthread_self()]?.isCutShort ?? false } }

    package var hasOpenSteps: Bool { state.withLock { !$0.open.isEmpty } }

    /// What the open steps wait for, such as `a new order (4 times)`. Nil if no step is open.
    package var openSteps: String? {
        let open = state.withLock { $0.open }.sorted { $0.key < $1.key }
        return open.isEmpty
            ? nil : open.map { $0.value > 1 ? "\($0.key) (\($0.value) times)" : $0.key }.joined(separator: ", ")
    }

    /// Runs one step. On a thread without a gate, only runs `work`. A step within another step counts as a part of it.
    ///
    /// - Parameter what: What the CA answers, such as `a new order`.
    /// - Throws: `Closed` if the gate of this thread is closed; else what `work` throws.
    static func step<Value>(_ what: String, _ work: () throws -> Value) throws -> Value {
        let thread = pthread_self()
        let gate = works.withLock { works -> StepGate? in
            guard let work = works[thread], work.step == nil else { return nil }
            works[thread]?.step = what
            return work.gate
        }
        guard let gate else { return try work() }
        defer {
            gate.leave()
            works.withLock { $0[thread]?.step = nil }
        }
        try gate.enter()
        do {
            return try work()
        } catch {
            if gate.state.withLock({ $0.isClosed }) { works.withLock { $0[thread]?.isCutShort = true } }
            throw error
        }
    }

    /// Throws `Closed` if the gate of this thread is closed. Call this before work that is not a step, but must not
    /// begin while the process is ending.
    static func check() throws {
        let thread = pthread_self()
        guard let gate = works.withLock({ $0[thread]?.gate }), gate.state.withLock({ $0.isClosed }) else { return }
        works.withLock { $0[thread]?.isCutShort = true }
        throw Closed()
    }

    /// Returns a function that calls `wait` while the step of this thread is closed, so that the process can end. The
    /// function is for waits during which no request is in progress.
    static func interrupting(
        _ wait: @escaping @Sendable (Duration, _ cause: String) -> Void
    ) -> @Sendable (Duration, _ cause: String) throws -> Void {
        { duration, cause in try interrupting { wait(duration, cause) } }
    }

    /// Runs a part of a step whose result may be lost, such as a request that changes nothing at the CA. The step is
    /// closed meanwhile, so that the process can end.
    ///
    /// - Throws: `Closed` if the gate of this thread was closed meanwhile; else what `work` throws.
    static func interrupting<Value>(_ work: () throws -> Value) throws -> Value {
        let current = works.withLock { $0[pthread_self()] }
        guard let gate = current?.gate, current?.isOpen == true else { return try work() }
        gate.leave()
        let result = Result { try work() }
        try gate.enter()
        return try result.get()
    }

    /// Opens the step of this thread again, which `interrupting` has closed. Returns false if the gate is closed; then
    /// the request must not be sent.
    static func resume() -> Bool {
        guard let work = works.withLock({ $0[pthread_self()] }), work.step != nil else { return true }
        return (try? work.gate.enter()) != nil
    }

    /// Opens the step of this thread, unless it is open.
    private func enter() throws(Closed) {
        let thread = pthread_self()
        guard let work = Self.works.withLock({ $0[thread] }), let step = work.step, !work.isOpen else { return }
        let isClosed = state.withLock { state in
            if !state.isClosed { state.open[step, default: 0] += 1 }
            return state.isClosed
        }
        Self.works.withLock { works in
            works[thread]?.isOpen = !isClosed
            if isClosed { works[thread]?.isCutShort = true }
        }
        if isClosed { throw Closed() }
    }

    /// Closes the step of this thread, unless it is closed.
    private func leave() {
        let step = Self.works.withLock { works -> String? in
            defer { works[pthread_self()]?.isOpen = false }
            return works[pthread_self()].flatMap { $0.isOpen ? $0.step : nil }
        }
        guard let step else { return }
        let observers = state.withLock { state -> [@Sendable () -> Void] in
            let count = state.open[step, default: 0] - 1
            state.open[step] = count > 0 ? count : nil
            guard state.open.isEmpty else { return [] }
            defer { state.whenIdle = [] }
            return state.whenIdle
        }
        observers.forEach { $0() }
    }
}
