import ConfigModel
import State

extension ExpiryThreshold {
    /// The threshold as the configuration writes it, such as `7d`; or `overdue` or `expired`.
    var text: String {
        switch self {
        case .overdue: "overdue"
        case .end: "expired"
        default: TimeSpan.format(.seconds(seconds))
        }
    }
}

extension ExpiryAlert {
    /// The kind of the alert, as logs, audit events and webhooks name it.
    enum Event: String {
        case expiring, expired, overdue
    }

    /// The alert's kind at `toldAt`, the time when the alert was first reported.
    var event: Event { notAfter <= toldAt ? .expired : threshold == .overdue ? .overdue : .expiring }

    /// The alert as a sentence, for the log.
    var text: String {
        let who = "the \(subject.kind.rawValue) '\(subject.name)'"
        let end = UTCTime.text(notAfter)
        switch event {
        case .expired: return "\(who) expired on \(end)"
        case .overdue: return "\(who) should have been renewed, and was not: it expires on \(end)"
        case .expiring: return "\(who) expires on \(end), in \(Self.words(notAfter - toldAt))"
        }
    }

    private static func words(_ seconds: Int64) -> String {
        let units: [(seconds: Int64, name: String)] = [(86_400, "days"), (3600, "hours"), (60, "minutes")]
        // The unit is the largest of which there are at least two after rounding. Rounding is needed, since an alert
        // for 30 days is reported when slightly less than 30 days are left.
        let unit = units.first { seconds >= 2 * $0.seconds - $0.seconds / 2 } ?? (1, "seconds")
        return "\((seconds + unit.seconds / 2) / unit.seconds) \(unit.name)"
    }

    /// The facts for logs and audit events.
    var details: [(String, String)] {
        [
            ("event", event.rawValue), ("threshold", threshold.text), ("not_after", UTCTime.rfc3339(notAfter)),
            ("fingerprint", subject.fingerprint),
        ]
    }

    /// The JSON body of a call to a webhook. `node` is the ID of the node that calls.
    func body(from node: String) -> [UInt8] {
        let members = [
            ("event", event.rawValue), ("kind", subject.kind.rawValue), ("name", subject.name),
            ("not_after", UTCTime.rfc3339(notAfter)), ("threshold", threshold.text), ("node", node),
            ("at", UTCTime.rfc3339(toldAt)),
        ].map { "\(EventLog.quoted($0.0)):\(EventLog.quoted($0.1))" }
        return Array("{\(members.joined(separator: ","))}".utf8)
    }
}
