/// Decides when to report that the access log loses lines or soon will: at once, every minute while the trouble lasts,
/// and when it is over. Pure.
struct AccessLogTrouble {
    /// The time between two reports of the same trouble, in seconds.
    static let repeatSeconds: Int64 = 60
    /// The time without a loss after which a slow log counts as recovered, in seconds.
    static let quietSeconds: Int64 = 10

    /// A message for the event log: the trouble lasts, or it is over.
    enum Word: Equatable {
        case lasts(String)
        case over(String)
    }

    /// The present trouble; nil when there is none.
    private(set) var reason: String?
    private var lost: UInt64 = 0
    private var lostBefore: UInt64 = 0
    private var lostLastAt = Int64.min / 2
    private var nextWordAt: Int64 = 0

    /// Notes the log's condition, and returns what to tell people now; nil for nothing. `failure` is the reason why the
    /// log can't be written; nil if it can. `total` is the number of lines lost since the process started. `now` is in
    /// seconds of the monotonic clock.
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
