/// What was told about the end of one certificate or identity: the latest threshold that it has crossed.
///
/// Told by one gateway of all that share the state. Does not raise the revision, since gateways serve nothing of it.
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

    /// What ends. Another certificate of the same name has another fingerprint, and is told of anew.
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
    /// When the certificate or one above it ends, in seconds since 1970.
    package let notAfter: Int64
    package let threshold: ExpiryThreshold
    /// When it was told, in seconds since 1970.
    package let toldAt: Int64
    /// How often the webhook was called.
    package var tries: Int
    /// When the webhook is to be called, in seconds since 1970; nil when it was reached, was given up, or there was none.
    package var nextTryAt: Int64?
    /// When the webhook was reached, in seconds since 1970.
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

    /// How often a webhook is called for an alert that it does not accept.
    package static let mostTries = 3
    /// The time between two calls, in seconds: three are made within an hour.
    package static let retrySeconds: Int64 = 20 * 60
    /// How long the rows of certificates that have ended are kept, in seconds.
    package static let keptSeconds: Int64 = 400 * 86_400
}

/// How near to its end a certificate is when it is told of. The nearer the end, the less.
package struct ExpiryThreshold: Sendable, Hashable, Comparable {
    /// The time left in seconds.
    package let seconds: Int64

    package init(seconds: Int64) { self.seconds = seconds }

    /// The certificate should have been renewed, and was not. Thresholds of time come after it.
    package static let overdue = ExpiryThreshold(seconds: .max)

    package static func < (left: ExpiryThreshold, right: ExpiryThreshold) -> Bool { left.seconds < right.seconds }
}

/// Remembers what was told, so that nobody is told twice.
package protocol ExpiryAlertStore: AnyObject, Sendable {
    /// The latest alert of each certificate and identity that was told of.
    func expiryAlerts() throws(StateError) -> [ExpiryAlert]

    /// Claims alerts, each with its event, in one transaction. One that another process has told already, at this
    /// threshold or a nearer one, is left out with its event.
    ///
    /// - Returns: The alerts that the caller is to tell.
    func claim(_ alerts: [(alert: ExpiryAlert, event: AuditEvent)]) throws(StateError) -> [ExpiryAlert]

    /// Claims the next call of the webhook for an alert, as it was read. The call counts from now on, whatever becomes of
    /// it. `now` is in seconds since 1970.
    ///
    /// - Returns: The alert after that; nil when another process has claimed this call.
    func claimTry(of alert: ExpiryAlert, now: Int64) throws(StateError) -> ExpiryAlert?

    /// Records that the webhook has accepted an alert, at a time in seconds since 1970.
    func delivered(_ alert: ExpiryAlert, at time: Int64) throws(StateError)
}
