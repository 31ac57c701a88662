import Reconciler

extension ContinuousClock.Instant {
    /// The time since this moment, rounded to whole seconds. So a line that is printed every five seconds shows 5 s, 10
    /// s and so on.
    var secondsPassed: Int64 { (ContinuousClock.now - self + .milliseconds(500)).components.seconds }
}

/// Runs work that may wait for others, such as a CA. Every five seconds, prints that the work still waits for `others`.
func tellingOfWaits<Result: Sendable>(
    for others: String, _ work: @escaping @Sendable () throws -> Result
) throws -> Result {
    guard let result = try tellingOfWaits(for: others, until: StopRequest(), work) else {
        preconditionFailure("a worker tells what has come of its input")
    }
    return result
}

/// Runs work in the same way until it has ended or `stop` is requested. Returns nil for work that was abandoned, which
/// continues unobserved.
func tellingOfWaits<Result: Sendable>(
    for others: String, until stop: StopRequest, _ work: @escaping @Sendable () throws -> Result
) throws -> Result? {
    let since = ContinuousClock.now
    let tell = { (_: Int, waits: [(input: Void, reason: String)]) in
        let time = "\(since.secondsPassed) s"
        let reason = waits.first.map { ": \($0.reason)" } ?? ""
        Terminal.complain("  still waiting for \(others) (\(time)\(reason))\n")
    }
    var result: Swift.Result<Result, any Error>?
    try ParallelWork(count: 1, stop: stop).run([()], stillWaiting: tell) { _, tell in
        tell(Swift.Result { try work() })
    } receive: { results in
        result = results.first
    }
    return try result?.get()
}
