/// The delays after failed renewals, like certmagic's. The first delays are minutes, since most failures pass quickly.
/// The later delays are hours, since lasting failures need the operator and each try counts against the CA's rate
/// limits.
package enum RetrySchedule {
    private static let minutes: [Int64] =
        [1, 2, 2, 5] + Array(repeating: 10, count: 3) + Array(repeating: 20, count: 4) + Array(repeating: 30, count: 6)
        + [60, 60, 60, 120, 120, 180, 180]
    private static let thenSeconds: Int64 = 6 * 3600
    private static let lastSeconds: Int64 = 86_400
    private static let longestSeconds: Int64 = 30 * 86_400

    /// The delay after a number of failures in a row, in seconds. It is 0 without failures, and a day after 30 days of
    /// failures.
    package static func delaySeconds(afterFailures failures: Int) -> Int64 {
        if failures <= 0 { return 0 }
        if failures <= minutes.count { return minutes[failures - 1] * 60 }
        let past = minutes.reduce(0, +) * 60 + Int64(failures - minutes.count) * thenSeconds
        return past <= longestSeconds ? thenSeconds : lastSeconds
    }
}
