import Dispatch
import Issuers
import Synchronization

/// Runs work on several threads, and passes all results to the calling thread. So `receive` need not be `Sendable`.
package struct ParallelWork: Sendable {
    /// How many threads work at once, as long as no further place needs a thread (`init`).
    private let count: Int
    private let stop: StopRequest?

    /// The most threads that run besides the `count` threads. One thread is added for each place, such as a CA.
    private static let mostPlaces = 64

    /// The time between two calls of the closure `stillWaiting`.
    private static let patience = DispatchTimeInterval.seconds(5)

    /// `count` is how many inputs run at once. More run only if a place (see `run`) has no running input: then the
    /// place may begin one, even if inputs of other places occupy all `count` threads. After a request to stop
    /// (`stop`), no further input begins.
    package init(count: Int, stop: StopRequest? = nil) {
        self.count = count
        self.stop = stop
    }

    private struct Shared<Event: Sendable> {
        var queue: JobQueue<Int>
        /// The indices of the inputs that the caller waits for even after a request to stop, if their work has begun.
        let needed: Set<Int>
        var neededUnderWay = 0
        var running: Int
        var isGivenUp = false
        var isStopped = false
        /// Whether an answer of a CA that must be recorded may still arrive (`StepGate`).
        var hasOpenSteps = true
        var events: [Event] = []
        /// What running inputs wait for, by their indices.
        var waits: [Int: String] = [:]

        /// How many inputs have not begun.
        var queued: Int

        /// Whether the caller must wait for more events.
        var goesOn: Bool { isStopped ? neededUnderWay > 0 || hasOpenSteps && running > 0 : running > 0 }

        /// The index of the next input; nil when the thread must end. `done` is the input that this thread has
        /// finished.
        mutating func takeInput(after done: Int?) -> Int? {
            if let done {
                queue.ended(done)
                if needed.contains(done) { neededUnderWay -= 1 }
            }
            guard !isGivenUp, !isStopped, let next = queue.next() else { return nil }
            queued -= 1
            if needed.contains(next) { neededUnderWay += 1 }
            return next
        }
    }

    /// Runs `work` for each input. `receive` gets the events that `work` passes to `tell`, in batches, on the calling
    /// thread.
    ///
    /// Inputs may have places, such as a CA's address. A slow place does not delay the others: it occupies at most half
    /// of the threads while other places have inputs, and each place has at least one thread.
    ///
    /// If `receive` throws, running work is finished, no further input begins, and the error is rethrown. After a
    /// request to stop, no further input begins either. The call then waits only for running inputs that `isNeeded`
    /// selects, and some seconds for open steps (`StepGate`). Events of steps that are cut short are dropped. Other
    /// running work continues in the background, so the program must end soon.
    ///
    /// `stillWaiting` is called every five seconds. It gets the number of inputs that have not begun, and what the
    /// running inputs wait for (`WaitNote`), as far as that is known.
    package func run<Input: Sendable, Event: Sendable>(
        _ inputs: [Input], at place: (Input) -> String = { _ in "" }, isNeeded: (Input) -> Bool = { _ in false },
        stillWaiting: (_ queued: Int, _ waits: [(input: Input, reason: String)]) -> Void = { _, _ in },
        work: @escaping @Sendable (Input, _ tell: (Event) -> Void) -> Void,
        receive: ([Event]) throws -> Void
    ) throws {
        let places = Set(inputs.map(place)).count
        let threads = min(inputs.count, count + min(places, Self.mostPlaces))
        var queue = JobQueue<Int>(atOnce: count, share: max(1, count / 2))
        for (index, input) in inputs.enumerated() { queue.add(index, at: place(input)) }
        let needed = Set(inputs.indices.filter { isNeeded(inputs[$0]) })
        let shared = SharedState(Shared<Event>(queue: queue, needed: needed, running: threads, queued: inputs.count))
        let gate = StepGate()
        let endSteps: @Sendable () -> Void = { shared.update { $0.hasOpenSteps = false } }
        stop?.onMade { [tell = stop?.tell] in
            shared.update { $0.isStopped = true }
            gate.close(whenIdle: endSteps)
            if let steps = gate.openSteps {
                tell?("waits up to \(StepGate.patienceSeconds) s for a CA's answer to \(steps)")
            }
            DispatchQueue.global().asyncAfter(
                deadline: .now() + .seconds(Int(StepGate.patienceSeconds)), execute: endSteps)
        }
        for number in 0..<threads {
            // Each thread has a queue of its own, since work that blocks would occupy all threads of the shared pool.
            DispatchQueue(label: "aegis worker \(number)").async {
                // A thread that gets no input ends. If a place is full, the threads that already work for the place
                // take its remaining inputs.
                var done: Int?
                while let index = shared.state.withLock({ $0.takeInput(after: done) }) {
                    WaitNote.reporting(to: { reason in shared.state.withLock { $0.waits[index] = reason } }) {
                        gate.including {
                            work(inputs[index]) { event in
                                guard !StepGate.isCutShort else { return }
                                shared.update { $0.events.append(event) }
                            }
                        }
                    }
                    done = index
                }
                shared.update { $0.running -= 1 }
            }
        }
        var failure: (any Error)?
        var isRunning = threads > 0
        var patience = DispatchTime.now() + Self.patience
        while isRunning {
            guard shared.news.wait(timeout: patience) == .success else {
                let (queued, waits) = shared.state.withLock { ($0.queued, $0.waits) }
                stillWaiting(queued, waits.map { (inputs[$0.key], $0.value) })
                // The next call is due at a multiple of the patience, however long this call took.
                while patience <= .now() { patience = patience + Self.patience }
                continue
            }
            let events = shared.state.withLock { state in
                isRunning = state.goesOn
                defer { state.events = [] }
                return state.events
            }
            guard failure == nil, !events.isEmpty else { continue }
            do {
                try receive(events)
            } catch {
                failure = error
                shared.state.withLock { $0.isGivenUp = true }
            }
        }
        if let failure { throw failure }
    }
}

/// State that threads share, and a signal that it has changed.
private final class SharedState<State: Sendable>: Sendable {
    let state: Mutex<State>
    let news = DispatchSemaphore(value: 0)

    init(_ state: State) { self.state = Mutex(state) }

    func update(_ change: (inout sending State) -> Void) {
        state.withLock { change(&$0) }
        news.signal()
    }
}
