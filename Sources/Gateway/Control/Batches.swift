import Dispatch
import Synchronization

/// Applies a function to very many values, on the threads of libdispatch. The calling thread adds the values, and gets
/// the results in the same order.
///
/// Only a few batches exist at a time, so the memory needed does not depend on the number of values.
struct Batches<Value: Sendable, Result: Sendable> {
    /// The largest number of values in a batch. The first batches are smaller, so that all threads start early.
    private static var largest: Int { 256 }
    /// The largest number of batches that exist at a time. With eight batches, the caller seldom has to wait for a
    /// batch.
    private static var underWay: Int { 8 }

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
    /// The number of values in the next batch. At the end, values that don't fill a batch are processed by the calling
    /// thread.
    private var size = 16
    private var gathered: [Value] = []
    private var running: [Batch] = []

    /// `work` may run on any thread.
    init(_ work: @escaping @Sendable (Value) -> Result) { self.work = work }

    /// Adds a value. If eight batches are then running, waits for the oldest one, and passes its results to `take`.
    mutating func add(_ value: Value, _ take: (Result) -> Void) {
        gathered.append(value)
        guard gathered.count == size else { return }
        running.append(Batch(gathered, work))
        gathered = []
        size = min(size * 2, Self.largest)
        if running.count == Self.underWay { running.removeFirst().wait().forEach(take) }
    }

    /// Waits for the remaining results, and passes them to `take`.
    mutating func finish(_ take: (Result) -> Void) {
        for batch in running { batch.wait().forEach(take) }
        running = []
        for value in gathered { take(work(value)) }
        gathered = []
    }
}
