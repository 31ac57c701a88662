import PKI

/// When a token must be renewed or replaced. Pure; all times are in seconds since 1970.
package struct VaultTokenLife: Sendable, Equatable {
    /// The last grant of life, measured when it was asked for.
    package let grantedAt: Int64
    /// How long the grant lasts, in seconds. 0 if the token does not end.
    package let seconds: Int64
    /// How long a new token lasts, in seconds.
    package let fullSeconds: Int64
    /// Whether the token can be renewed. Batch tokens and some others can't.
    package let isRenewable: Bool

    package enum Step: Sendable, Equatable {
        case keep
        case renew
        case logIn
    }

    /// No life of a token is longer than this, in seconds: 100 years.
    private static let maximumSeconds: Int64 = 100 * 366 * 86_400

    package init(grantedAt: Int64, seconds: Int64, fullSeconds: Int64, isRenewable: Bool) {
        self.grantedAt = grantedAt
        self.seconds = min(max(0, seconds), Self.maximumSeconds)
        self.fullSeconds = min(max(0, fullSeconds), Self.maximumSeconds)
        self.isRenewable = isRenewable
    }

    /// When the token ends. Nil if it does not.
    package var endsAt: Int64? { seconds == 0 ? nil : grantedAt + seconds }

    package func hasEnded(at now: Int64) -> Bool { endsAt.map { $0 <= now } ?? false }

    /// Whether the last renewal gave less than two thirds of a new token's life, since the token nears its greatest age
    /// (`max_ttl`). Vault cuts renewals without an error, so further ones would give less and less.
    package var isCapped: Bool { seconds != 0 && seconds < fullSeconds - fullSeconds / 3 }

    /// When to renew or replace the token: after two thirds of its life, and up to a fifteenth of it later, by `jitter`,
    /// a hash. Vault's own client does the same (api/lifetime_watcher.go). Nil if the token does not end.
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

/// A token with its life.
struct VaultToken: Sendable {
    let secret: SecretBytes
    let life: VaultTokenLife

    /// What a login gave, asked for at `now`.
    init(_ auth: VaultAuth, at now: Int64) {
        secret = auth.token.bytes
        life = VaultTokenLife(
            grantedAt: now, seconds: auth.seconds, fullSeconds: auth.seconds, isRenewable: auth.isRenewable ?? false)
    }

    /// The same token after a renewal, asked for at `now`.
    init(_ token: VaultToken, renewedBy auth: VaultAuth, at now: Int64) {
        secret = token.secret
        life = VaultTokenLife(
            grantedAt: now, seconds: auth.seconds, fullSeconds: token.life.fullSeconds,
            isRenewable: auth.isRenewable ?? false)
    }

    /// A token from elsewhere, which was looked up at `now`. It may have lived for long.
    init(_ secret: SecretBytes, _ facts: VaultTokenFacts, at now: Int64) {
        self.secret = secret
        let full = max(facts.createdSeconds ?? 0, facts.seconds)
        // What is left of a renewable token may be little, which is no cap: the first renewal shows whether there is one.
        let isRenewable = facts.isRenewable ?? false
        life = VaultTokenLife(
            grantedAt: now, seconds: facts.seconds, fullSeconds: isRenewable ? facts.seconds : full,
            isRenewable: isRenewable)
    }
}

/// How long to wait after a token could not be renewed or obtained: 10 s, doubling to 5 min. Pure.
enum VaultTokenRetry {
    static func delaySeconds(failures: Int) -> Int64 { min(300, 10 << Int64(min(max(0, failures - 1), 5))) }
}
