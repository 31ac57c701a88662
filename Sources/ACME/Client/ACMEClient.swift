// ACME: certificates from a CA by RFC 8555 and its extensions: tls-alpn-01 (RFC 8737), addresses (RFC 8738), renewal
// information (RFC 9773), profiles. Pure: HTTP, time and randomness come from the caller, who also keeps the journal
// that outlives a crash. `ACMEClient` sends single requests to a CA, and `OrderMachine` decides which one comes next.
// `Renewal/` tells when certificates are due, `Limits/` when a CA allows the next order. The grammar of everything that
// a CA sends is checked before use.

import PKI
import Synchronization

/// One account's requests to one CA (RFC 8555). Several threads may share a client; nonces are shared too.
///
/// When a CA is busy (429, 5xx) or can't be reached, a request is repeated for about a minute in all, with the delays
/// that the CA asks for or with growing ones. When the CA asks for a longer delay, its refusal is thrown at once.
/// Errors of the edge (`ACMEEdge`, which sends the requests) are passed on. An order, its finalization and a change of
/// key must not happen twice: these requests are not repeated if the edge says that they may have arrived. The caller,
/// who keeps a journal, then decides what to do.
package final class ACMEClient: Sendable {
    struct State {
        var key: PrivateKey
        var account: ACMEURL?
        var directory: (value: ACMEDirectory, readAt: Int64)?
        var nonces = NoncePool()
        /// Odd members of directory and account that no caller has been told of yet.
        var oddities: [String] = []
    }

    let directoryURL: ACMEURL
    let edge: any ACMEEdge
    let wait: @Sendable (Duration) throws -> Void
    let now: @Sendable () -> Int64
    /// How long requests are repeated while the CA is busy or can't be reached.
    let patience: Duration
    let state: Mutex<State>

    /// Makes a client for a CA's directory and an account's key.
    ///
    /// - Parameters:
    ///   - account: the account's URL, if known; otherwise call `account(…)` first.
    ///   - wait: waits before another try. Its errors are passed on.
    ///   - patience: how long requests are repeated while the CA is busy or can't be reached.
    ///   - now: seconds since 1970, with which dates in answers are compared.
    package init(
        directory: ACMEURL, key: PrivateKey, account: ACMEURL? = nil, edge: any ACMEEdge,
        wait: @escaping @Sendable (Duration) throws -> Void, patience: Duration = .seconds(60),
        now: @escaping @Sendable () -> Int64
    ) {
        directoryURL = directory
        self.edge = edge
        self.wait = wait
        self.patience = patience
        self.now = now
        state = Mutex(State(key: key, account: account))
    }

    /// The account's current key.
    package var key: PrivateKey { state.withLock { $0.key } }

    /// The account's URL, once known.
    package var accountURL: ACMEURL? { state.withLock { $0.account } }

    /// The CA's directory. It is fetched again after a day, since a gateway runs for months.
    package func directory() throws -> ACMEDirectory {
        let now = now()
        if let known = state.withLock({ $0.directory }), now - known.readAt < 86_400 { return known.value }
        let directory = try ACMEDirectory(fetch(.get, directoryURL).body, from: directoryURL)
        state.withLock {
            $0.directory = (directory, now)
            $0.oddities += directory.oddities
        }
        return directory
    }

    /// Odd members of directory and account, a line each. Each line is returned only once.
    package func takeOddities() -> [String] {
        state.withLock { state in
            defer { state.oddities = [] }
            return state.oddities
        }
    }

    package func keyAuthorization(_ challenge: ACMEAuthorization.Challenge) throws(ACMEError) -> ACMEKeyAuthorization {
        try ACMEKeyAuthorization(challenge, key: key)
    }
}
