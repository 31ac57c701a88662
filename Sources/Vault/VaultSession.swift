import PKI
import Synchronization

/// Makes calls of Vault with a token that is kept valid. The session logs in to obtain a token, renews it in time, and
/// logs in again if it can't be renewed or was revoked. Threads may share a session. While one thread logs in, the
/// others wait for it.
///
/// A thread should call `tend` at the times that `tend` returns. Without such a thread, calls renew the token when it
/// is due.
package final class VaultSession: Sendable {
    /// The result of a call of `tend`.
    package struct Tending: Sendable {
        /// When `tend` should be called again, in seconds since 1970.
        package let nextAt: Int64
        /// Why the token could not be renewed or obtained; nil if it could. The former token is used until it expires.
        package let failure: VaultError?
        /// Whether there is a token that has not expired.
        package let hasToken: Bool
        /// Lines for the operator. Each line is returned only once.
        package let notes: [String]
    }

    private struct State {
        var token: VaultToken?
        /// How many renewals or logins in a row have failed.
        var failures = 0
        /// After a failure, a token that is still valid is not renewed before this time, in seconds since 1970.
        var restsUntil: Int64 = .min
        /// Why the last renewal or login has failed; nil if it has not.
        var failure: VaultError?
        /// When a token was last replaced because a call was denied, in seconds since 1970.
        var replacedAt: Int64 = .min / 2
        var refusedLogin = VaultRefusedLogin()
        var notes: [String] = []
        /// The known kinds of KV mounts, by the mount's name.
        var engines: [String: VaultEngine] = [:]
    }

    let client: VaultClient
    private let login: VaultLogin
    private let jitter: UInt64
    private let state = Mutex(State())

    /// The shortest time between two replacements of a token because calls were denied, in seconds. The limit is
    /// needed, since a token without permission to look itself up looks like a revoked one.
    private static let replacementSeconds: Int64 = 300
    /// The longest time between two calls of `tend`, in seconds: an hour.
    private static let longestRest: Int64 = 3600
    private static let shortestRest: Int64 = 1
    private static let maximumNotes = 20

    /// `jitter` is a number that differs between gateways, so that they don't renew their tokens at the same time.
    package init(_ client: VaultClient, login: VaultLogin, jitter: UInt64) {
        (self.client, self.login, self.jitter) = (client, login, jitter)
    }

    /// Renews or replaces the token if it is due, and logs in if there is none.
    package func tend() -> Tending {
        state.withLock { state in
            // Failures are kept in the state, including those of other calls that have tried to renew the token.
            if client.now() >= state.restsUntil { try? refresh(&state) }
            let now = client.now()
            let dueAt = state.failures > 0 ? state.restsUntil : state.token?.life.dueAt(jitter: jitter) ?? .max
            defer { state.notes = [] }
            return Tending(
                nextAt: min(max(dueAt, now + Self.shortestRest), now + Self.longestRest), failure: state.failure,
                hasToken: state.token.map { !$0.life.hasEnded(at: now) } ?? false, notes: state.notes)
        }
    }

    /// Lets the next call log in even with credentials that Vault has refused. Called when an operator may have changed
    /// something at Vault.
    package func allowLogin() { state.withLock { ($0.refusedLogin, $0.restsUntil) = (VaultRefusedLogin(), .min) } }

    /// When the token expires, in seconds since 1970. Nil if there is no token, or if it does not expire.
    package var tokenEndsAt: Int64? { state.withLock { $0.token?.life.endsAt } }

    /// Makes a call with the token. If the call is denied because the token is not valid any more, the session logs in
    /// again and repeats the call. Vault does nothing for a denied call, so repeating it is safe.
    func send(_ call: VaultCall) throws(VaultError) -> VaultReply {
        let token = try token()
        do throws(VaultError) {
            return try client.send(call, token: token.secret)
        } catch  where error.kind == .denied {
            guard try client.facts(of: token.secret) == nil, let other = try replacement(of: token) else { throw error }
            return try client.send(call, token: other.secret)
        }
    }

    /// Returns the kind of a KV mount. `find` is called only if the kind is not known yet.
    func engine(
        _ mount: String, _ find: () throws(VaultError) -> VaultEngine
    ) throws(VaultError) -> VaultEngine {
        if let known = state.withLock({ $0.engines[mount] }) { return known }
        let found = try find()
        state.withLock { $0.engines[mount] = found }
        return found
    }

    /// Returns a token that is not known to be invalid.
    private func token() throws(VaultError) -> VaultToken {
        try state.withLock { (state) throws(VaultError) in
            let now = client.now()
            if let token = state.token, !token.life.hasEnded(at: now) {
                // A failed renewal is no failure of this call, since the present token is still valid. `tend` reports
                // the failure.
                if now >= state.restsUntil { try? refresh(&state) }
                return state.token ?? token
            }
            try refresh(&state)
            guard let token = state.token else { preconditionFailure("a login without an error gives a token") }
            return token
        }
    }

    /// Logs in, since a token is no longer valid. If another thread has already replaced it, returns the new token.
    /// Returns nil if a token was replaced very recently.
    private func replacement(of dead: VaultToken) throws(VaultError) -> VaultToken? {
        try state.withLock { (state) throws(VaultError) in
            if let token = state.token, token.secret != dead.secret { return token }
            let now = client.now()
            guard now - state.replacedAt >= Self.replacementSeconds else { return nil }
            do throws(VaultError) {
                try logIn(&state)
            } catch {
                // Without the token, the next call logs in at once.
                state.token = nil
                throw error
            }
            state.replacedAt = now
            return state.token
        }
    }

    /// Renews the token if it is due. Logs in if there is no token, or if it can't be renewed.
    private func refresh(_ state: inout State) throws(VaultError) {
        let step = state.token?.life.step(at: client.now(), jitter: jitter) ?? .logIn
        guard step != .keep else { return }
        if step == .renew, let token = state.token {
            do throws(VaultError) {
                let grant = try client.renew(token)
                // If the renewed token is valid for a short time only, it is near its greatest age. `isCapped` then
                // makes the session log in instead.
                accept(grant, &state)
                return
            } catch {
                // A refusal means that the token can't be renewed, or is no longer valid.
                guard error.kind == .refused || error.kind == .denied else { throw rest(after: error, &state) }
            }
        }
        try logIn(&state)
    }

    private func logIn(_ state: inout State) throws(VaultError) {
        do throws(VaultError) {
            accept(try login.token(from: client, replacing: state.token, &state.refusedLogin), &state)
        } catch {
            throw rest(after: error, &state)
        }
    }

    private func accept(_ grant: VaultGrant, _ state: inout State) {
        state.token = grant.token
        (state.failures, state.restsUntil, state.failure) = (0, .min, nil)
        state.notes = Array((state.notes + grant.notes).suffix(Self.maximumNotes))
    }

    /// Counts a failure and sets the time of the next try. The delay grows with the number of failures, and is at least
    /// what the server asks for.
    private func rest(after error: VaultError, _ state: inout State) -> VaultError {
        state.failures = min(state.failures + 1, 100)
        let delay = max(
            VaultTokenRetry.delaySeconds(failures: state.failures), min(error.retryAfter?.components.seconds ?? 0, 3600)
        )
        (state.restsUntil, state.failure) = (client.now() + delay, error)
        return error
    }
}
