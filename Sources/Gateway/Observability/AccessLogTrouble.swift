/// Decides when the gateway's own log reports trouble with the access log: lines are lost, or soon will be. Trouble is
/// reported when it begins, every minute while it lasts, and when it is over. This type does no I/O.
struct AccessLogTrouble {
    /// The time between two reports of the same trouble, in seconds.
    static let repeatSeconds: Int64 = 60
    /// If no line was lost for this time, in seconds, the trouble is over.
    static let quietSeconds: Int64 = 10

    /// A message for the gateway's own log.
    enum Word: Equatable {
        case lasts(String)
        case over(String)
    }

    /// The present trouble; nil if there is none.
    private(set) var reason: String?
    private var lost: UInt64 = 0
    private var lostBefore: UInt64 = 0
    private var lostLastAt = Int64.min / 2
    private var nextWordAt: Int64 = 0

    /// Returns the message that should be logged now, or nil. `failure` is the reason why the access log can't be
    /// written; nil if it can. `total` counts the lines lost since the process started. `now` is in seconds of the
    /// monotonic clock.
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
