import PKI

/// Decides when a token must be renewed or replaced. This type does no I/O; all times are in seconds since 1970.
package struct VaultTokenLife: Sendable, Equatable {
    /// When the last login or renewal was requested.
    package let grantedAt: Int64
    /// How long the token is valid after `grantedAt`, in seconds. 0 if it does not expire.
    package let seconds: Int64
    /// How long a new token is valid, in seconds.
    package let fullSeconds: Int64
    /// Whether the token can be renewed. Batch tokens and some others can't.
    package let isRenewable: Bool

    package enum Step: Sendable, Equatable {
        case keep
        case renew
        case logIn
    }

    /// The longest accepted lifetime of a token, in seconds: 100 years.
    private static let maximumSeconds: Int64 = 100 * 366 * 86_400

    package init(grantedAt: Int64, seconds: Int64, fullSeconds: Int64, isRenewable: Bool) {
        self.grantedAt = grantedAt
        self.seconds = min(max(0, seconds), Self.maximumSeconds)
        self.fullSeconds = min(max(0, fullSeconds), Self.maximumSeconds)
        self.isRenewable = isRenewable
    }

    /// When the token expires. Nil if it does not.
    package var endsAt: Int64? { seconds == 0 ? nil : grantedAt + seconds }

    package func hasEnded(at now: Int64) -> Bool { endsAt.map { $0 <= now } ?? false }

    /// Whether the last renewal gave less than two thirds of a new token's lifetime. The token is then near its
    /// greatest age (`max_ttl`). Vault shortens such renewals without an error, so each further one would give less.
    package var isCapped: Bool { seconds != 0 && seconds < fullSeconds - fullSeconds / 3 }

    /// When to renew or replace the token: after two thirds of its lifetime, plus up to a fifteenth of the lifetime.
    /// `jitter`, a hash, decides how much is added. Vault's own client does the same (api/lifetime_watcher.go). Nil if
    /// the token does not expire.
    package func dueAt(jitter: UInt64) -> Int64? {
        guard seconds != 0 else { return nil }
        let spread = Double(jitter >> 11) / Double(1 << 53)
        return grantedAt + Int64(Double(seconds) * (2.0 / 3 + spread / 15))
    }

    package func step(at now: Int64, jitter: UInt64) -> Step {
        guard let dueAt = dueAt(jitter: jitter), dueAt <= now else { return .keep }
        return isRenewable && !isCapped && !hasEnded(at: now) ? .renew : .logIn
    }
}

/// A token, and when it must be renewed.
struct VaultToken: Sendable {
    let secret: SecretBytes
    let life: VaultTokenLife

    /// Makes a token from the answer to a login, which was requested at `now`.
    init(_ auth: VaultAuth, at now: Int64) {
        secret = auth.token.bytes
        life = VaultTokenLife(
            grantedAt: now, seconds: auth.seconds, fullSeconds: auth.seconds, isRenewable: auth.isRenewable ?? false)
    }

    /// Makes the token as it is after a renewal, which was requested at `now`.
    init(_ token: VaultToken, renewedBy auth: VaultAuth, at now: Int64) {
        secret = token.secret
        life = VaultTokenLife(
            grantedAt: now, seconds: auth.seconds, fullSeconds: token.life.fullSeconds,
            isRenewable: auth.isRenewable ?? false)
    }

    /// Makes a token from the one that an operator provides, and the answer to its lookup at `now`. The token may be
    /// old.
    init(_ secret: SecretBytes, _ facts: VaultTokenFacts, at now: Int64) {
        self.secret = secret
        let full = max(facts.createdSeconds ?? 0, facts.seconds)
        // An old token may have little of its lifetime left although Vault still renews it in full. So for a renewable
        // token, the rest of its lifetime counts as its full lifetime.
        let isRenewable = facts.isRenewable ?? false
        life = VaultTokenLife(
            grantedAt: now, seconds: facts.seconds, fullSeconds: isRenewable ? facts.seconds : full,
            isRenewable: isRenewable)
    }
}

/// The delay after a failed renewal or login: 10 s, doubling up to 5 min. This type does no I/O.
enum VaultTokenRetry {
    static func delaySeconds(failures: Int) -> Int64 { min(300, 10 << Int64(min(max(0, failures - 1), 5))) }
}
