import State

/// A certificate that could not be obtained, and when it is tried again.
package struct FailingCertificate: Sendable {
    package let progress: RenewalProgress
    /// When it is tried again, in seconds since 1970; nil when nobody tries it.
    package let nextTryAt: Int64?
    package let isDue: Bool
    /// Whether any gateway is running, which would try it.
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

    /// The certificates of a state that could not be obtained, sorted by name.
    static func all(in store: any StateStore, _ gateways: FleetStatus, now: Int64) throws -> [FailingCertificate] {
        let failed = try store.renewals().filter { $0.failures > 0 }.sorted { $0.certificate < $1.certificate }
        guard !failed.isEmpty else { return [] }
        let state = try ManagedState(store, only: failed.map(\.certificate))
        return failed.map {
            FailingCertificate(
                $0, nextTryAt: state.nextTry(of: $0.certificate), isMissed: now >= state.isNeededFrom($0.certificate),
                hasGateway: !gateways.alive.isEmpty, now: now)
        }
    }
}
