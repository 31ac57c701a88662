import Dispatch
import Issuers
import Synchronization

/// Does work on several threads at once and hands all that comes of it to one, so that only the work has to be shareable.
public struct Workers: Sendable {
    /// How many pieces of work are done at once.
    private let count: Int

    /// So many at once.
    public init(count: Int) { self.count = count }

    private struct Shared<Event: Sendable> {
        var queue: JobQueue<Int>
        var isGivenUp = false
        var running: Int
        var events: [Event] = []

        /// The number of the next input; `done` is what the asking thread has done before.
        mutating func takeInput(after done: Int?) -> Int? {
            if let done { queue.ended(done) }
            return isGivenUp ? nil : queue.next()
        }
    }

    /// Does `work` for each input; `take` gets what it tells, in batches of what is there, on the calling thread.
    ///
    /// Where inputs have places, such as the CAs that are asked, one that is slow leaves half of the threads to the others.
    /// When `take` throws, what is under way is finished, nothing more is begun, and the error is passed on.
    public func run<Input: Sendable, Event: Sendable>(
        _ inputs: [Input], at place: (Input) -> String = { _ in "" },
        work: @escaping @Sendable (Input, _ tell: (Event) -> Void) -> Void,
        take: ([Event]) throws -> Void
    ) throws {
        let threads = min(count, inputs.count)
        var queue = JobQueue<Int>(atOnce: count, share: max(1, count / 2))
        for (index, input) in inputs.enumerated() { queue.add(index, at: place(input)) }
        let shared = Mailbox(Shared<Event>(queue: queue, running: threads))
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
        while isRunning {
            shared.news.wait()
            let events = shared.state.withLock { state in
                isRunning = state.running > 0
                defer { state.events = [] }
                return state.events
            }
            guard failure == nil, !events.isEmpty else { continue }
            do {
                try take(events)
            } catch {
                failure = error
                shared.state.withLock { $0.isGivenUp = true }
            }
        }
        if let failure { throw failure }
    }
}

/// What threads share, and the signal that there is something new in it.
private final class Mailbox<State: Sendable>: Sendable {
    let state: Mutex<State>
    let news = DispatchSemaphore(value: 0)

    init(_ state: State) { self.state = Mutex(state) }

    func update(_ change: (inout sending State) -> Void) {
        state.withLock { change(&$0) }
        news.signal()
    }
}
