import State
import Vault

/// Decides when an identity must be obtained from Vault and when a failed call is repeated. This type does no I/O;
/// times are in seconds since 1970.
///
/// An issued certificate is renewed when a third of its lifetime is left, or a bit later, spread by `jitter`. A
/// secret's version is checked every minute, and the secret is read if the version has changed. The CAs of a PKI mount
/// are checked every five minutes. Failed calls are repeated with growing delays.
package struct VaultIdentityPlan: Sendable {
    /// The action that is due.
    package enum Step: Sendable, Equatable {
        /// Nothing is due until this time.
        case rest(until: Int64)
        case obtain
        /// Check whether the identity in force is still current: by the secret's version, or by the mount's CAs.
        case look
    }

    /// The facts about the identity in force that decide about the next step.
    package struct Present: Sendable, Equatable {
        /// The digest of the declaration for which the identity was obtained.
        let declaration: [UInt8]
        /// When an issued certificate must be renewed.
        let renewAt: Int64
        /// The earliest expiry among the chain's certificates.
        let expiresAt: Int64
        /// The version of the secret; nil for an issued certificate, or without versions.
        package let secretVersion: Int64?

        /// `identity` must be made from `stored`, the row in the state.
        package init(_ stored: ObtainedIdentity, _ identity: Identity, jitter: UInt64) {
            self.init(
                declaration: stored.declaration, renewAt: VaultCertificate.renewAt(identity.chain, jitter: jitter),
                expiresAt: identity.expiresAt, obtainedAt: stored.obtainedAt, secretVersion: stored.secretVersion)
        }

        init(
            declaration: [UInt8], renewAt: Int64, expiresAt: Int64, obtainedAt: Int64 = .min / 2,
            secretVersion: Int64? = nil
        ) {
            (self.declaration, self.expiresAt, self.secretVersion) = (declaration, expiresAt, secretVersion)
            // If this machine's clock differs from Vault's, or if the CA's certificate expires soon, a new certificate
            // could already be due. The bound ensures a pause between renewals.
            let left = max(0, expiresAt - obtainedAt)
            self.renewAt = max(renewAt, obtainedAt + max(VaultIdentityPlan.shortestLife, left / 2))
        }
    }

    package private(set) var declaration: VaultIdentityDeclaration
    /// The identity in force; nil if there is none yet.
    package private(set) var present: Present?
    /// How many calls in a row have failed.
    package private(set) var failures = 0
    private var nextTryAt: Int64 = .min
    private var nextLookAt: Int64 = .min
    /// When this process last read the secret's content. Nil if it has not read it yet, or must read it again
    /// (`retryNow`).
    private var readAt: Int64?
    private let jitter: UInt64

    /// The time between two checks of a secret's version, in seconds.
    package static let secretLookSeconds: Int64 = 60
    /// The longest time between two readings of a secret, in seconds. Reading is needed even if the version is
    /// unchanged: if a secret is deleted with its metadata and made again, its versions begin at 1 again.
    private static let secretReadSeconds: Int64 = 3600
    /// The time between two checks of the CAs of a PKI mount, in seconds.
    package static let authoritiesLookSeconds: Int64 = 300
    /// The delay after the first failure, in seconds. It doubles with each further failure.
    private static let firstDelay: Int64 = 2
    /// The shortest time between the issuance of a certificate and its renewal, in seconds.
    private static let shortestLife: Int64 = 10
    /// The longest delay after a failure, in seconds. For a secret, it is `secretLookSeconds`.
    private static let longestDelay: Int64 = 300
    /// The longest delay after a failure in seconds, if the identity is missing or about to expire. Hosts need the
    /// identity then.
    private static let urgentDelay: Int64 = 15
    /// The longest delay that a server's Retry-After can cause, in seconds.
    private static let longestAsked: Int64 = 3600

    /// `jitter` is a number that differs between gateways and between identities.
    package init(_ declaration: VaultIdentityDeclaration, jitter: UInt64) {
        (self.declaration, self.jitter) = (declaration, jitter)
    }

    // MARK: Events

    /// Sets the declaration of the identity. If another identity is declared now, it is obtained at once. The former
    /// identity stays in force until then.
    package mutating func declare(_ declaration: VaultIdentityDeclaration) {
        if declaration.digest != self.declaration.digest { retryNow() }
        self.declaration = declaration
    }

    /// Makes the next step due at once. A secret is then read whatever its version is. Called when the cause of a
    /// failure may be gone, or when the Vault may have something new.
    package mutating func retryNow() { (failures, nextTryAt, nextLookAt, readAt) = (0, .min, .min, nil) }

    /// Records an identity from the state, which another process or an earlier run of the gateway has obtained.
    package mutating func adopted(_ present: Present) {
        self.present = present
        (failures, nextTryAt) = (0, .min)
    }

    /// Records that this process has obtained an identity.
    package mutating func obtained(_ present: Present, at now: Int64) {
        self.present = present
        confirmed(at: now)
    }

    /// Records that the content was read and is unchanged.
    package mutating func confirmed(at now: Int64) {
        readAt = now
        looked(at: now)
    }

    /// Records that a check found the identity in force to be current.
    package mutating func looked(at now: Int64) {
        (failures, nextTryAt) = (0, .min)
        nextLookAt = now + lookSeconds
    }

    /// Records that a call has failed.
    ///
    /// - Parameter askedSeconds: The delay that the server asks for; 0 for none.
    package mutating func failed(at now: Int64, askedSeconds: Int64 = 0) {
        failures = min(failures + 1, 100)
        let doubled = Self.firstDelay << Int64(min(failures - 1, 10))
        let longest = isUrgent(at: now) ? Self.urgentDelay : isIssued ? Self.longestDelay : Self.secretLookSeconds
        let delay = min(doubled, longest)
        nextTryAt = now + max(delay, min(askedSeconds, Self.longestAsked))
    }

    /// Records that another process is obtaining the identity. That process will store it in the state.
    package mutating func isHeldByAnother(at now: Int64) { nextTryAt = now + 1 }

    // MARK: Decisions

    package func step(at now: Int64) -> Step {
        if isDue(at: now) { return nextTryAt <= now ? .obtain : .rest(until: nextTryAt) }
        let next = max(nextLookAt, nextTryAt)
        if next <= now { return .look }
        return .rest(until: isIssued ? min(next, max(present?.renewAt ?? next, nextTryAt)) : next)
    }

    /// Whether the secret must be read, given its newest version. After a failure it must always be read: the secret
    /// may have been made again, with versions that begin at 1.
    package func mustRead(_ version: VaultSecretVersion, at now: Int64) -> Bool {
        guard failures == 0, let readAt, now - readAt < Self.secretReadSeconds else { return true }
        return switch version {
        case .present(let number): number != present?.secretVersion
        // Without a version, only the content shows whether it has changed.
        case .unknown: true
        // Reading the secret gives an error that explains the problem.
        case .deleted, .destroyed, .absent: true
        }
    }

    /// Whether the identity must be obtained without a check first.
    package func isDue(at now: Int64) -> Bool {
        guard let present, present.declaration == declaration.digest else { return true }
        return isIssued && present.renewAt <= now
    }

    private var isIssued: Bool { if case .certificate = declaration.content { true } else { false } }

    private var lookSeconds: Int64 {
        let seconds = isIssued ? Self.authoritiesLookSeconds : Self.secretLookSeconds
        // The time is shortened by up to a tenth, so that many gateways do not call the Vault at the same time.
        return seconds - Int64(jitter >> 33) % (seconds / 10 + 1)
    }

    /// Whether hosts need a new identity now or soon: there is none, or it expires within five minutes.
    package func isUrgent(at now: Int64) -> Bool {
        guard let present else { return true }
        return now + Self.longestDelay >= present.expiresAt
    }
}
