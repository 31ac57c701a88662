import Dispatch
import Issuers
import Synchronization

/// Does work on several threads at once and hands all that comes of it to one, so that only the work has to be shareable.
package struct ParallelWork: Sendable {
    /// How many pieces of work are done at once.
    private let count: Int
    private let stop: StopRequest?

    /// From one call of `stillWaiting` to the next.
    private static let patience = DispatchTimeInterval.seconds(5)

    /// So many at once, until it is asked to stop.
    package init(count: Int, stop: StopRequest? = nil) {
        self.count = count
        self.stop = stop
    }

    private struct Shared<Event: Sendable> {
        var queue: JobQueue<Int>
        /// The inputs that are waited for once they are begun, whoever asks to stop.
        let needed: Set<Int>
        var neededUnderWay = 0
        /// How many threads have not ended.
        var running: Int
        var isGivenUp = false
        var isStopped = false
        var events: [Event] = []

        /// How many inputs nobody has begun with.
        var queued: Int

        /// Whether there is anything to wait for.
        var goesOn: Bool { isStopped ? neededUnderWay > 0 : running > 0 }

        /// The number of the next input; `done` is what the asking thread has done before.
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

    /// Does `work` for each input. `receive` gets the events that it tells, in batches, on the calling thread.
    ///
    /// Where inputs have places, such as the CAs that are asked, one that is slow leaves half of the threads to the others.
    /// When `receive` throws, what is under way is finished, nothing more is begun, and the error is passed on. After a request to
    /// stop too nothing more is begun; of what is under way only what `isNeeded` names is waited for. The rest goes on by
    /// itself, so the program must end soon, and nobody hears of it.
    ///
    /// `stillWaiting` is called every five seconds meanwhile, with the number of inputs that are not begun.
    package func run<Input: Sendable, Event: Sendable>(
        _ inputs: [Input], at place: (Input) -> String = { _ in "" }, isNeeded: (Input) -> Bool = { _ in false },
        stillWaiting: (_ queued: Int) -> Void = { _ in },
        work: @escaping @Sendable (Input, _ tell: (Event) -> Void) -> Void,
        receive: ([Event]) throws -> Void
    ) throws {
        let threads = min(count, inputs.count)
        var queue = JobQueue<Int>(atOnce: count, share: max(1, count / 2))
        for (index, input) in inputs.enumerated() { queue.add(index, at: place(input)) }
        let needed = Set(inputs.indices.filter { isNeeded(inputs[$0]) })
        let shared = SharedState(Shared<Event>(queue: queue, needed: needed, running: threads, queued: inputs.count))
        stop?.onMade { shared.update { $0.isStopped = true } }
        for number in 0..<threads {
            // A queue of its own has a thread of its own; in the shared pool, work would hold up whatever else is there.
            DispatchQueue(label: "aegis worker \(number)").async {
                // Who gets none ends: where there is no room, those who are there go on.
                var done: Int?
                while let index = shared.state.withLock({ $0.takeInput(after: done) }) {
                    work(inputs[index]) { event in shared.update { $0.events.append(event) } }
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
                stillWaiting(shared.state.withLock { $0.queued })
                patience = .now() + Self.patience
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

/// What threads share, and the signal that there is something new in it.
private final class SharedState<State: Sendable>: Sendable {
    let state: Mutex<State>
    let news = DispatchSemaphore(value: 0)

    init(_ state: State) { self.state = Mutex(state) }

    func update(_ change: (inout sending State) -> Void) {
        state.withLock { change(&$0) }
        news.signal()
    }
}
