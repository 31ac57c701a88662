/// When people are told that the access log loses lines, or is about to: at once, once a minute while that goes on, and when
/// it is over. Pure.
struct AccessLogTrouble {
    /// How often the same is told again, in seconds.
    static let repeatSeconds: Int64 = 60
    /// After how long without a loss the log is as fast as lines come, in seconds.
    static let quietSeconds: Int64 = 10

    /// What people are told.
    enum Word: Equatable {
        case lasts(String)
        case over(String)
    }

    /// What is wrong; nil when nothing is.
    private(set) var reason: String?
    private var lost: UInt64 = 0
    private var lostBefore: UInt64 = 0
    private var lostLastAt = Int64.min / 2
    private var nextWordAt: Int64 = 0

    /// Looks at how the log does: why it can't be written, if it can't, and how many lines were lost since the process began.
    /// `now` is in seconds of a clock that nobody sets.
    mutating func look(failure: String?, lost total: UInt64, at now: Int64) -> Word? {
        let before = lost
        if total > lost { (lost, lostLastAt) = (total, now) }
        var found: String?
        if let failure {
            found = "can't be written: \(failure)"
        } else if now - lostLastAt < (reason == nil ? 1 : Self.quietSeconds), reason?.hasPrefix("can't") != true {
            found = "is not written as fast as lines come"
        }
        guard let found else {
            guard reason != nil else { return nil }
            reason = nil
            return .over("the access log is written again\(losses)")
        }
        if reason == nil { lostBefore = before }
        guard found != reason || now >= nextWordAt else { return nil }
        (reason, nextWordAt) = (found, now + Self.repeatSeconds)
        return .lasts("the access log \(found)\(lost > lostBefore ? losses : "; the next 16 MiB of lines are kept")")
    }

    private var losses: String {
        let count = lost - lostBefore
        return count == 0 ? "" : count == 1 ? "; 1 line was lost" : "; \(count) lines were lost"
    }
}
