/// The time until a certificate ends, in words for people.
package enum TimeLeft {
    /// Such as `in 5 days` or `expired 5 days ago`. Both times are in seconds since 1970.
    package static func text(until end: Int64, from now: Int64) -> String {
        let days = abs(end - now) / 86_400
        let text = days == 1 ? "1 day" : "\(days) days"
        if end > now { return days == 0 ? "today" : "in \(text)" }
        return days == 0 ? "expired today" : "expired \(text) ago"
    }
}
