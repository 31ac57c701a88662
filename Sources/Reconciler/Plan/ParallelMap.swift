import Dispatch
import Synchronization

/// Work on very many values, done in parts on all cores.
enum ParallelMap {
    /// More than there are cores, as a rule: one that is held up does not hold up all.
    private static let count = 8
    /// Fewer values than these are done where the caller is.
    private static let fewest = 4_000

    /// What `work` makes of each part of a range, in order.
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
