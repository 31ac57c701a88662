import Dispatch
import Synchronization

/// Work on very many values on all cores, while one thread hands them in and takes what comes of them, in their order.
///
/// Few batches are under way at once, so what is in between takes little memory however many values there are.
struct Batches<Value: Sendable, Result: Sendable> {
    /// How many values are worked on in one piece at most. The first pieces are smaller, so that all cores begin at once.
    private static var largest: Int { 256 }
    /// How many pieces wait or are worked on. More than there are cores, as a rule: the caller is busy too.
    private static var underWay: Int { 8 }

    /// A batch and, when it is done, what has come of it.
    private final class Batch: Sendable {
        private let results = Mutex<[Result]>([])
        private let isDone = DispatchSemaphore(value: 0)

        init(_ values: [Value], _ work: @escaping @Sendable (Value) -> Result) {
            DispatchQueue.global().async { [self] in
                let made = values.map(work)
                results.withLock { $0 = made }
                isDone.signal()
            }
        }

        func wait() -> [Result] {
            isDone.wait()
            return results.withLock { $0 }
        }
    }

    private let work: @Sendable (Value) -> Result
    /// How many values the next piece has. Fewer at the end are done where the caller is.
    private var size = 16
    private var gathered: [Value] = []
    private var running: [Batch] = []

    /// Work that may be done on any thread.
    init(_ work: @escaping @Sendable (Value) -> Result) { self.work = work }

    /// Adds a value, and hands what has come of earlier ones to `take`.
    mutating func add(_ value: Value, _ take: (Result) -> Void) {
        gathered.append(value)
        guard gathered.count == size else { return }
        running.append(Batch(gathered, work))
        gathered = []
        size = min(size * 2, Self.largest)
        if running.count == Self.underWay { running.removeFirst().wait().forEach(take) }
    }

    /// Hands all the rest to `take`.
    mutating func finish(_ take: (Result) -> Void) {
        for batch in running { batch.wait().forEach(take) }
        running = []
        for value in gathered { take(work(value)) }
        gathered = []
    }
}
