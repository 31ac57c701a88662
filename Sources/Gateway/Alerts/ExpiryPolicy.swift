import State

/// A certificate or an identity, with the times that decide about alerts.
struct ExpiringItem: Equatable {
    let subject: ExpiryAlert.Subject
    /// When the first certificate of the chain expires, in seconds since 1970.
    let notAfter: Int64
    /// From when the renewal counts as overdue, in seconds since 1970. Nil if the gateway does not renew the
    /// certificate.
    var overdueAt: Int64?

    /// From when a renewal counts as overdue, in seconds since 1970. A renewal may take a quarter of the lifetime that
    /// is left when it begins, but at most a day. Renewals that fell due while the gateway was down get ten minutes
    /// after its start (`startedAt`), unless an attempt has failed.
    static func overdueAt(renewsAt: Int64, notAfter: Int64, startedAt: Int64, hasFailed: Bool) -> Int64 {
        let grace = max(0, min(mostGraceSeconds, (notAfter - renewsAt) / 4))
        return max(renewsAt + grace, hasFailed ? .min : startedAt + startSeconds)
    }

    private static let mostGraceSeconds: Int64 = 86_400
    private static let startSeconds: Int64 = 600
}

/// Decides which expiring certificates and identities are reported, and when.
struct ExpiryPolicy: Equatable {
    /// Sorted by the time before the expiry, shortest first. The first threshold is the expiry itself.
    private let thresholds: [ExpiryThreshold]
    /// Whether the configuration names a webhook.
    private let hasWebhook: Bool

    init(thresholds: [Duration], hasWebhook: Bool) {
        self.thresholds = ([.end] + thresholds.map { ExpiryThreshold(seconds: $0.components.seconds) }).sorted()
        self.hasWebhook = hasWebhook
    }

    /// The longest threshold, in seconds before the expiry. A certificate with more time left, and which the gateway
    /// does not renew, needs no check.
    var longestSeconds: Int64 { thresholds.last?.seconds ?? 0 }

    /// The threshold nearest to the expiry that a certificate has crossed; nil if it has crossed none. A certificate
    /// that the gateway renews crosses `overdue` first, and after that each threshold that begins later.
    func crossed(by item: ExpiringItem, now: Int64) -> ExpiryThreshold? {
        let nearest = thresholds.first { item.notAfter - $0.seconds <= now }
        guard let overdueAt = item.overdueAt else { return nearest }
        guard overdueAt <= now else { return nil }
        return nearest.flatMap { item.notAfter - $0.seconds > overdueAt ? $0 : nil } ?? .overdue
    }

    /// The alerts that no gateway has reported yet. `told` are the reported ones. A certificate that was reported at
    /// one threshold is not reported again at this threshold, or at a longer threshold that was added to the
    /// configuration later.
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

    /// The alerts for which the webhook must be called now. There is no call for a certificate that was replaced, or
    /// that no longer crosses a threshold.
    func due(_ alerts: [ExpiryAlert], of items: [ExpiringItem], now: Int64) -> [ExpiryAlert] {
        guard hasWebhook else { return [] }
        let present = Set(items.lazy.filter { crossed(by: $0, now: now) != nil }.map(\.subject))
        return alerts.filter { $0.nextTryAt.map { $0 <= now } ?? false && present.contains($0.subject) }
    }
}
