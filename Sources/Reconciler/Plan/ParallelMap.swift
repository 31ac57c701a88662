import Dispatch
import Synchronization

/// Splits work on very many values among up to eight cores.
enum ParallelMap {
    /// The number of parts, and therefore the largest number of cores that work at once.
    private static let count = 8
    /// With fewer values than this, the calling thread does all the work.
    private static let fewest = 4_000

    /// The result of `work` for each part of a range, in order.
    static func of<Result: Sendable>(_ range: Range<Int>, _ work: @Sendable (Range<Int>) -> Result) -> [Result] {
        guard range.count >= fewest else { return [work(range)] }
        let bounds = (0...count).map { range.lowerBound + range.count * $0 / count }
        let results = Mutex([Result?](repeating: nil, count: count))
        DispatchQueue.concurrentPerform(iterations: count) { number in
            let result = work(bounds[number]..<bounds[number + 1])
            results.withLock { $0[number] = result }
        }
        return results.withLock { $0.compactMap(\.self) }
    }
}
