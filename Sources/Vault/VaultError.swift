import HTTPClient
import PKI

/// The reason why Vault gave no usable answer. The description is one line with the cause and advice, without secrets.
package struct VaultError: Error, Sendable, Equatable {
    package enum Kind: Sendable, Equatable {
        /// There was no answer at all.
        case unreachable
        /// The server answers that it can't work now: it is sealed, has no active node, does not have the newest data
        /// yet, or is busy.
        case unavailable
        /// The server refuses the call, and would refuse it again.
        case refused
        /// The token is valid but has no permission for this call (403).
        case denied
        /// The token has expired or was revoked. It did not come from a login, so no login can replace it.
        case deadToken
        /// The answer can't be used.
        case malformed
        /// The server redirects to a host that the configuration does not name.
        case redirected
        /// A setting can't be used, so nothing was sent.
        case settings
        /// The secret does not exist, or its newest version was deleted or destroyed.
        case missing(VaultSecretVersion)
    }

    package let kind: Kind
    /// The cause, in one line.
    package let reason: String
    /// What the operator should do or check. Nil if `reason` includes it.
    package let hint: String?
    /// Whether the server may have done what the call requested.
    package let mayBeDone: Bool
    /// The HTTP status of a refusal; nil if the server did not refuse.
    package let status: Int?
    /// The delay that the server asks for before the next call.
    package let retryAfter: Duration?

    init(
        _ kind: Kind, _ reason: String, hint: String? = nil, mayBeDone: Bool = false, status: Int? = nil,
        retryAfter: Duration? = nil
    ) {
        (self.kind, self.reason, self.hint, self.mayBeDone) = (kind, reason, hint, mayBeDone)
        (self.status, self.retryAfter) = (status, retryAfter)
    }

    /// Makes an error for a call without an answer. `action` continues "Vault can't be asked to".
    init(_ failure: HTTPFailure, _ action: String) {
        let isPlainServer = failure.reason.contains("wrong version number")
        self.init(
            .unreachable, "Vault can't be asked to \(action): \(failure.reason)",
            hint: failure.hint ?? (isPlainServer ? "does this port speak TLS, and is the address right?" : nil),
            mayBeDone: failure.mayHaveArrived)
    }

    /// Whether the same call may succeed soon without a change of settings.
    package var isTransient: Bool { kind == .unavailable || kind == .unreachable && hint == nil }

    func with(mayBeDone: Bool) -> VaultError {
        VaultError(kind, reason, hint: hint, mayBeDone: mayBeDone, status: status, retryAfter: retryAfter)
    }
}

extension VaultError: CustomStringConvertible {
    package var description: String { reason + (hint.map { " (\($0))" } ?? "") }
}
