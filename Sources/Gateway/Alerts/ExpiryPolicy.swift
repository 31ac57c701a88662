import State

/// A certificate or an identity, as far as its end matters.
struct ExpiringItem: Equatable {
    let subject: ExpiryAlert.Subject
    /// When the certificate or one above it in its chain ends, in seconds since 1970.
    let notAfter: Int64
    /// When its renewal is overdue, in seconds since 1970; nil if somebody else replaces it.
    var overdueAt: Int64?

    /// When the renewal of a certificate is overdue, in seconds since 1970. A renewal takes a while, and so has a quarter
    /// of the time that is left, a day at most. One that became due while the gateway was down has some minutes from its
    /// start, unless it has failed.
    static func overdueAt(renewsAt: Int64, notAfter: Int64, startedAt: Int64, hasFailed: Bool) -> Int64 {
        let grace = max(0, min(mostGraceSeconds, (notAfter - renewsAt) / 4))
        return max(renewsAt + grace, hasFailed ? .min : startedAt + startSeconds)
    }

    private static let mostGraceSeconds: Int64 = 86_400
    private static let startSeconds: Int64 = 600
}

/// Decides what is to be told about certificates that end.
struct ExpiryPolicy: Equatable {
    /// The nearest comes first.
    private let thresholds: [ExpiryThreshold]
    /// Whether a webhook is to be called.
    private let hasWebhook: Bool

    init(thresholds: [Duration], hasWebhook: Bool) {
        self.thresholds = thresholds.map { ExpiryThreshold(seconds: $0.components.seconds) }.sorted()
        self.hasWebhook = hasWebhook
    }

    /// The longest time left at which something is told, in seconds. Before that, certificates that don't renew
    /// themselves need no look.
    var longestSeconds: Int64 { thresholds.last?.seconds ?? 0 }

    /// The nearest threshold that a certificate has crossed; nil when it has crossed none. One that renews itself crosses
    /// none before it is overdue, and then the thresholds that follow.
    func crossed(by item: ExpiringItem, now: Int64) -> ExpiryThreshold? {
        let nearest = thresholds.first { item.notAfter - $0.seconds <= now }
        guard let overdueAt = item.overdueAt else { return nearest }
        guard overdueAt <= now else { return nil }
        return nearest.flatMap { item.notAfter - $0.seconds > overdueAt ? $0 : nil } ?? .overdue
    }

    /// The alerts that nobody has told yet. Nothing is told again at the same threshold, or at one farther from the end,
    /// such as one that the configuration has got since.
    func untold(_ items: [ExpiringItem], told: [ExpiryAlert], now: Int64) -> [ExpiryAlert] {
        let known = Dictionary(told.map { ($0.subject, $0.threshold) }) { min($0, $1) }
        return items.compactMap { item in
            guard let threshold = crossed(by: item, now: now), known[item.subject].map({ threshold < $0 }) ?? true
            else { return nil }
            return ExpiryAlert(
                item.subject, notAfter: item.notAfter, threshold: threshold, toldAt: now,
                nextTryAt: hasWebhook ? now : nil)
        }
    }

    /// The alerts for which the webhook is to be called now. A certificate that was replaced meanwhile, or crosses no
    /// threshold any more, is no longer told of.
    func due(_ alerts: [ExpiryAlert], of items: [ExpiringItem], now: Int64) -> [ExpiryAlert] {
        guard hasWebhook else { return [] }
        let present = Set(items.lazy.filter { crossed(by: $0, now: now) != nil }.map(\.subject))
        return alerts.filter { $0.nextTryAt.map { $0 <= now } ?? false && present.contains($0.subject) }
    }
}
