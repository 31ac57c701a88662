/// The latest alert about one certificate or identity that will expire. It records the last threshold that was crossed.
///
/// Of all gateways that share the state, one reports each alert. Alerts do not raise the revision, since they change
/// nothing that gateways serve.
package struct ExpiryAlert: Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable {
        case certificate, identity

        package func item(_ name: String) -> ItemID {
            switch self {
            case .certificate: ItemID(.certificate, name)
            case .identity: ItemID(.identity, name)
            }
        }
    }

    /// The certificate or identity that will expire. A replacement with the same name has another fingerprint, and gets
    /// alerts of its own.
    package struct Subject: Sendable, Hashable {
        package let kind: Kind
        package let name: String
        /// SHA-256 of the leaf in lower-case hex.
        package let fingerprint: String

        package init(_ kind: Kind, _ name: String, fingerprint: String) {
            (self.kind, self.name, self.fingerprint) = (kind, name, fingerprint)
        }
    }

    package let subject: Subject
    /// The earliest expiry among the chain's certificates, in seconds since 1970.
    package let notAfter: Int64
    package let threshold: ExpiryThreshold
    /// When the alert was first reported, in seconds since 1970.
    package let toldAt: Int64
    /// How many times the webhook was called.
    package var tries: Int
    /// When the webhook must be called next, in seconds since 1970. Nil if it has accepted the alert, if there are no
    /// tries left, or if there is no webhook.
    package var nextTryAt: Int64?
    /// When the webhook accepted the alert, in seconds since 1970; nil if it has not.
    package var deliveredAt: Int64?

    package init(
        _ subject: Subject, notAfter: Int64, threshold: ExpiryThreshold, toldAt: Int64, tries: Int = 0,
        nextTryAt: Int64? = nil, deliveredAt: Int64? = nil
    ) {
        self.subject = subject
        self.notAfter = notAfter
        self.threshold = threshold
        self.toldAt = toldAt
        self.tries = tries
        self.nextTryAt = nextTryAt
        self.deliveredAt = deliveredAt
    }

    /// The largest number of calls to the webhook for one alert.
    package static let mostTries = 3
    /// The time between two calls for an alert, in seconds. With `mostTries`, all calls are made within an hour.
    package static let retrySeconds: Int64 = 20 * 60
    /// How long the alerts of expired certificates are kept, in seconds.
    package static let keptSeconds: Int64 = 400 * 86_400
}

/// How near a certificate is to its expiry when an alert is made. Of two thresholds, the smaller one is nearer to the
/// expiry.
package struct ExpiryThreshold: Sendable, Hashable, Comparable {
    /// The time before the expiry, in seconds.
    package let seconds: Int64

    package init(seconds: Int64) { self.seconds = seconds }

    /// The certificate should have been renewed but was not. This threshold is greater than all thresholds in
    /// seconds.
    package static let overdue = ExpiryThreshold(seconds: .max)

    /// The certificate has expired.
    package static let end = ExpiryThreshold(seconds: 0)

    package static func < (left: ExpiryThreshold, right: ExpiryThreshold) -> Bool { left.seconds < right.seconds }
}

/// Stores alerts, so that each is reported only once.
package protocol ExpiryAlertStore: AnyObject, Sendable {
    /// The latest alert of each certificate and identity that has one.
    func expiryAlerts() throws(StateError) -> [ExpiryAlert]

    /// Stores alerts and their events in one transaction. An alert is left out with its event if another process has
    /// already stored one at this threshold, or at one nearer to the expiry.
    ///
    /// - Returns: The stored alerts, which the caller must report.
    func claim(_ alerts: [(alert: ExpiryAlert, event: AuditEvent)]) throws(StateError) -> [ExpiryAlert]

    /// Claims the next call of the webhook for an alert that was read before. The call counts as made, whether it
    /// succeeds or not. `now` is in seconds since 1970.
    ///
    /// - Returns: The alert as it is stored now; nil if another process has claimed this call.
    func claimTry(of alert: ExpiryAlert, now: Int64) throws(StateError) -> ExpiryAlert?

    /// Records that the webhook has accepted an alert, at a time in seconds since 1970.
    func delivered(_ alert: ExpiryAlert, at time: Int64) throws(StateError)
}
