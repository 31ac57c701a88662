import State
import Vault

/// Decides when an identity is obtained from Vault, and what a failure means. Pure; times are in seconds since 1970.
///
/// An issued certificate is renewed with a third of its life left, spread by `jitter`. A secret is read when its version
/// has changed, which is looked at each minute; the CAs of a PKI mount are looked at every five minutes. Whatever fails
/// is tried again with growing delays.
package struct VaultIdentityPlan: Sendable {
    /// What is to be done now.
    package enum Step: Sendable, Equatable {
        /// Nothing until this time.
        case rest(until: Int64)
        /// Obtain the identity.
        case obtain
        /// Find out whether the identity in force is still the present one: by the secret's version, or by the CAs.
        case look
    }

    /// What is known of the identity in force.
    package struct Present: Sendable, Equatable {
        /// The digest of the declaration that it was obtained for.
        let declaration: [UInt8]
        /// When an issued one is to be renewed.
        let renewAt: Int64
        /// The end of its certificate, or of one above it.
        let expiresAt: Int64
        /// The version of the secret.
        package let secretVersion: Int64?

        /// What the state has. `identity` is made of it.
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
            // By a clock that differs from Vault's, or below a CA that ends soon, each new certificate would be due.
            let left = max(0, expiresAt - obtainedAt)
            self.renewAt = max(renewAt, obtainedAt + max(VaultIdentityPlan.shortestLife, left / 2))
        }
    }

    package private(set) var declaration: VaultIdentityDeclaration
    /// Nil while there is none.
    package private(set) var present: Present?
    /// How often in a row it could not be obtained or looked at.
    package private(set) var failures = 0
    private var nextTryAt: Int64 = .min
    private var nextLookAt: Int64 = .min
    /// When this process last had the content of a secret. Nil if it has what the state had.
    private var readAt: Int64?
    private let jitter: UInt64

    /// The time between two looks at a secret's version, in seconds.
    package static let secretLookSeconds: Int64 = 60
    /// The longest time between two readings of a secret, in seconds: one that was deleted for good and made again within a
    /// minute has a version that was there before.
    private static let secretReadSeconds: Int64 = 3600
    /// The time between two looks at the CAs of a PKI mount, in seconds.
    package static let authoritiesLookSeconds: Int64 = 300
    /// The delay after the first failure, in seconds. It doubles with each further one.
    private static let firstDelay: Int64 = 2
    /// The shortest time between two certificates, in seconds.
    private static let shortestLife: Int64 = 10
    /// The longest delay, in seconds.
    private static let longestDelay: Int64 = 300
    /// The longest delay while there is no identity, or it ends soon, in seconds: hosts wait for it.
    private static let urgentDelay: Int64 = 15
    /// The longest delay that a server may ask for, in seconds.
    private static let longestAsked: Int64 = 3600

    /// `jitter` is a hash of what tells this identity in this gateway from others.
    package init(_ declaration: VaultIdentityDeclaration, jitter: UInt64) {
        (self.declaration, self.jitter) = (declaration, jitter)
    }

    // MARK: What happens

    /// Takes another declaration of the identity. If the content is another one, it is obtained at once; until then what
    /// is in force stays.
    package mutating func declare(_ declaration: VaultIdentityDeclaration) {
        if declaration.digest != self.declaration.digest { retryNow() }
        self.declaration = declaration
    }

    /// What stood in the way may be gone, or there may be something new: the next step comes at once, and a
    /// secret is read whatever its version is.
    package mutating func retryNow() { (failures, nextTryAt, nextLookAt, readAt) = (0, .min, .min, nil) }

    /// The state has an identity, which another process has obtained, or this one before it began.
    package mutating func adopted(_ present: Present) {
        self.present = present
        (failures, nextTryAt) = (0, .min)
    }

    /// This process has obtained an identity.
    package mutating func obtained(_ present: Present, at now: Int64) {
        self.present = present
        confirmed(at: now)
    }

    /// The content was read, and is the present one.
    package mutating func confirmed(at now: Int64) {
        readAt = now
        looked(at: now)
    }

    /// A look has found that the identity in force is the present one.
    package mutating func looked(at now: Int64) {
        (failures, nextTryAt) = (0, .min)
        nextLookAt = now + lookSeconds
    }

    /// Obtaining or looking has failed.
    ///
    /// - Parameter askedSeconds: The delay that the server asks for; 0 for none.
    package mutating func failed(at now: Int64, askedSeconds: Int64 = 0) {
        failures = min(failures + 1, 100)
        let doubled = Self.firstDelay << Int64(min(failures - 1, 10))
        let longest = isUrgent(at: now) ? Self.urgentDelay : isIssued ? Self.longestDelay : Self.secretLookSeconds
        let delay = min(doubled, longest)
        nextTryAt = now + max(delay, min(askedSeconds, Self.longestAsked))
    }

    /// Another process is obtaining the identity. It will store what it gets.
    package mutating func isHeldByAnother(at now: Int64) { nextTryAt = now + 1 }

    // MARK: What to do

    package func step(at now: Int64) -> Step {
        if isDue(at: now) { return nextTryAt <= now ? .obtain : .rest(until: nextTryAt) }
        let next = max(nextLookAt, nextTryAt)
        if next <= now { return .look }
        return .rest(until: isIssued ? min(next, max(present?.renewAt ?? next, nextTryAt)) : next)
    }

    /// Whether the secret must be read when this is its newest version. After a failure it may be another secret, whose
    /// versions begin anew.
    package func mustRead(_ version: VaultSecretVersion, at now: Int64) -> Bool {
        guard failures == 0, let readAt, now - readAt < Self.secretReadSeconds else { return true }
        return switch version {
        case .present(let number): number != present?.secretVersion
        // Only the content shows whether it has changed.
        case .unknown: true
        // Reading says in words what is wrong.
        case .deleted, .destroyed, .absent: true
        }
    }

    /// Whether the identity must be obtained, whatever a look would show.
    package func isDue(at now: Int64) -> Bool {
        guard let present, present.declaration == declaration.digest else { return true }
        return isIssued && present.renewAt <= now
    }

    private var isIssued: Bool { if case .certificate = declaration.content { true } else { false } }

    private var lookSeconds: Int64 {
        let seconds = isIssued ? Self.authoritiesLookSeconds : Self.secretLookSeconds
        // Up to a tenth sooner, so that many gateways do not ask in step.
        return seconds - Int64(jitter >> 33) % (seconds / 10 + 1)
    }

    /// Whether hosts wait for the identity, or will soon: there is none, or it ends within five minutes.
    package func isUrgent(at now: Int64) -> Bool {
        guard let present else { return true }
        return now + Self.longestDelay >= present.expiresAt
    }
}
