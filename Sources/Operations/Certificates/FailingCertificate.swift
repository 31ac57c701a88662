import State

/// A certificate that could not be obtained, and when it is tried again.
package struct FailingCertificate: Sendable {
    package let progress: RenewalProgress
    /// When it is tried again, in seconds since 1970; nil when nobody tries it.
    package let nextTryAt: Int64?
    package let isDue: Bool
    /// Whether a gateway runs that tries it.
    package let hasGateway: Bool
    /// Whether the certificate is needed now. It is not needed when the stored certificate is good and only a forced
    /// renewal has failed.
    package let isMissed: Bool

    package init(_ progress: RenewalProgress, nextTryAt: Int64?, isMissed: Bool, hasGateway: Bool, now: Int64) {
        self.isMissed = isMissed
        self.hasGateway = hasGateway
        self.progress = progress
        self.nextTryAt = nextTryAt
        isDue = (nextTryAt ?? .max) <= now
    }
}
