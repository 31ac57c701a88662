import ConfigModel
import State

extension ExpiryThreshold {
    /// The threshold as the configuration writes it, such as `7d`; or `overdue`.
    var text: String { self == .overdue ? "overdue" : TimeSpan.format(.seconds(seconds)) }
}

extension ExpiryAlert {
    /// What has happened, for programs.
    enum Event: String {
        case expiring, expired, overdue
    }

    /// What had happened when it was told.
    var event: Event { notAfter <= toldAt ? .expired : threshold == .overdue ? .overdue : .expiring }

    /// The alert in words.
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
        // Two of a unit at least, rounded: a threshold of 30 days is told with some seconds less.
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

    /// The body that a webhook is sent, in JSON. `node` is the ID of the node that sends it.
    func body(from node: String) -> [UInt8] {
        let members = [
            ("event", event.rawValue), ("kind", subject.kind.rawValue), ("name", subject.name),
            ("not_after", UTCTime.rfc3339(notAfter)), ("threshold", threshold.text), ("node", node),
            ("at", UTCTime.rfc3339(toldAt)),
        ].map { "\(EventLog.quoted($0.0)):\(EventLog.quoted($0.1))" }
        return Array("{\(members.joined(separator: ","))}".utf8)
    }
}
