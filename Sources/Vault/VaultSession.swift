import PKI
import Synchronization

/// Calls of Vault with a token that is kept alive: it is obtained by a login, renewed in time, and replaced by another
/// login when it can't be renewed or was revoked. Threads may share a session; while one of them logs in, the others
/// wait for it.
///
/// A thread calls `tend` at the times that it returns. Without such a thread, calls renew a token that is due.
package final class VaultSession: Sendable {
    /// The result of looking after the token.
    package struct Tending: Sendable {
        /// When `tend` should be called again, in seconds since 1970.
        package let nextAt: Int64
        /// Why the token could not be renewed or obtained. The former token is used as long as it lives.
        package let failure: VaultError?
        /// What the operator should know, a line each. A line is told once, by the next `tend`.
        package let notes: [String]
    }

    private struct State {
        var token: VaultToken?
        /// How often in a row the token could not be renewed or obtained.
        var failures = 0
        /// Until then, in seconds since 1970, a living token is not renewed: that has just failed.
        var restsUntil: Int64 = .min
        /// When a token was last replaced since a call with it was denied, in seconds since 1970.
        var replacedAt: Int64 = .min / 2
        var notes: [String] = []
        /// The kinds of the KV mounts that are known.
        var engines: [String: VaultEngine] = [:]
    }

    let client: VaultClient
    private let login: VaultLogin
    private let jitter: UInt64
    private let state = Mutex(State())

    /// How often a token at most is replaced after calls that were denied, in seconds. A token without the right to look
    /// itself up can't be told from one that was revoked.
    private static let replacementSeconds: Int64 = 300
    /// The longest time between two calls of `tend`, in seconds: an hour.
    private static let longestRest: Int64 = 3600
    private static let shortestRest: Int64 = 1
    private static let maximumNotes = 20

    /// `jitter` is a hash of what tells this gateway from others, so that their tokens are not renewed in step.
    package init(_ client: VaultClient, login: VaultLogin, jitter: UInt64) {
        (self.client, self.login, self.jitter) = (client, login, jitter)
    }

    /// Renews or replaces the token if it is due, and obtains the first one.
    package func tend() -> Tending {
        state.withLock { state in
            var failure: VaultError?
            if client.now() >= state.restsUntil {
                do throws(VaultError) {
                    try refresh(&state)
                } catch {
                    failure = error
                }
            }
            let now = client.now()
            let dueAt = state.failures > 0 ? state.restsUntil : state.token?.life.dueAt(jitter: jitter) ?? .max
            defer { state.notes = [] }
            return Tending(
                nextAt: min(max(dueAt, now + Self.shortestRest), now + Self.longestRest), failure: failure,
                notes: state.notes)
        }
    }

    /// When the token ends, in seconds since 1970. Nil if there is none, or if it does not end.
    package var tokenEndsAt: Int64? { state.withLock { $0.token?.life.endsAt } }

    /// Makes a call with the token. If the call is denied and the token turns out to be dead, the session logs in again
    /// and makes the call once more: Vault has not carried a denied call out.
    func send(_ call: VaultCall) throws(VaultError) -> VaultReply {
        let token = try token()
        do throws(VaultError) {
            return try client.send(call, token: token.secret)
        } catch  where error.kind == .denied {
            guard try client.facts(of: token.secret) == nil, let other = try replacement(of: token) else { throw error }
            return try client.send(call, token: other.secret)
        }
    }

    /// Finds the kind of a KV mount by `find` when it is not known yet.
    func engine(
        _ mount: String, _ find: () throws(VaultError) -> VaultEngine
    ) throws(VaultError) -> VaultEngine {
        if let known = state.withLock({ $0.engines[mount] }) { return known }
        let found = try find()
        state.withLock { $0.engines[mount] = found }
        return found
    }

    /// A token that lives, as far as is known.
    private func token() throws(VaultError) -> VaultToken {
        try state.withLock { (state) throws(VaultError) in
            let now = client.now()
            if let token = state.token, !token.life.hasEnded(at: now) {
                // The token is good for this call, whether it can be renewed or not. `tend` tells of a failure.
                if now >= state.restsUntil { try? refresh(&state) }
                return state.token ?? token
            }
            try refresh(&state)
            guard let token = state.token else { preconditionFailure("a login without an error gives a token") }
            return token
        }
    }

    /// Logs in since a token is dead. Another thread may have done so meanwhile. Returns nil if that was just done.
    private func replacement(of dead: VaultToken) throws(VaultError) -> VaultToken? {
        try state.withLock { (state) throws(VaultError) in
            if let token = state.token, token.secret != dead.secret { return token }
            let now = client.now()
            guard now - state.replacedAt >= Self.replacementSeconds else { return nil }
            do throws(VaultError) {
                try logIn(&state)
            } catch {
                // The next call needs no dead token to find out that it must log in.
                state.token = nil
                throw error
            }
            state.replacedAt = now
            return state.token
        }
    }

    /// Renews the token if it is due. Logs in if there is none, or if it can't be renewed.
    private func refresh(_ state: inout State) throws(VaultError) {
        let step = state.token?.life.step(at: client.now(), jitter: jitter) ?? .logIn
        guard step != .keep else { return }
        if step == .renew, let token = state.token {
            do throws(VaultError) {
                let grant = try client.renew(token)
                // A renewal that brings next to nothing shows that the token nears its greatest age.
                accept(grant, &state)
                return
            } catch {
                // A refusal means that the token can't be renewed, or is dead.
                guard error.kind == .refused || error.kind == .denied else { throw rest(after: error, &state) }
            }
        }
        try logIn(&state)
    }

    private func logIn(_ state: inout State) throws(VaultError) {
        do throws(VaultError) {
            accept(try login.token(from: client, replacing: state.token), &state)
        } catch {
            throw rest(after: error, &state)
        }
    }

    private func accept(_ grant: VaultGrant, _ state: inout State) {
        state.token = grant.token
        (state.failures, state.restsUntil) = (0, .min)
        state.notes = Array((state.notes + grant.notes).suffix(Self.maximumNotes))
    }

    /// Counts a failure. The next try is later the more there were, but a server that names a delay is believed.
    private func rest(after error: VaultError, _ state: inout State) -> VaultError {
        state.failures = min(state.failures + 1, 100)
        let delay = max(
            VaultTokenRetry.delaySeconds(failures: state.failures), min(error.retryAfter?.components.seconds ?? 0, 3600)
        )
        state.restsUntil = client.now() + delay
        return error
    }
}
