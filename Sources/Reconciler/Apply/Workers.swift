import Dispatch
import Synchronization

/// Does work on several threads at once and hands all that comes of it to one, so that only the work has to be shareable.
public struct Workers: Sendable {
    /// How many pieces of work are done at once.
    private let count: Int

    /// So many at once.
    public init(count: Int) { self.count = count }

    private struct Shared<Event: Sendable> {
        var next = 0
        var running: Int
        var events: [Event] = []

        mutating func takeInput<Input>(of inputs: [Input]) -> Input? {
            guard next < inputs.count else { return nil }
            defer { next += 1 }
            return inputs[next]
        }
    }

    /// Does `work` for each input; `take` gets what it tells, in batches of what is there, on the calling thread.
    ///
    /// When `take` throws, what is under way is finished, nothing more is begun, and the error is passed on.
    public func run<Input: Sendable, Event: Sendable>(
        _ inputs: [Input], work: @escaping @Sendable (Input, _ tell: (Event) -> Void) -> Void,
        take: ([Event]) throws -> Void
    ) throws {
        let threads = min(count, inputs.count)
        let shared = Mailbox(Shared<Event>(running: threads))
        for number in 0..<threads {
            // A queue of its own has a thread of its own; in the shared pool, work would hold up whatever else is there.
            DispatchQueue(label: "aegis worker \(number)").async {
                while let input = shared.state.withLock({ $0.takeInput(of: inputs) }) {
                    work(input) { event in shared.update { $0.events.append(event) } }
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
                shared.state.withLock { $0.next = inputs.count }
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
