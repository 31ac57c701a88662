// ACME: obtains certificates from a CA by RFC 8555 and its extensions: tls-alpn-01 (RFC 8737), IP addresses (RFC 8738),
// renewal information (RFC 9773) and profiles. The module is pure: the caller passes in HTTP, time and randomness, and
// keeps the journal that survives a crash. `ACMEClient` makes single requests, and `OrderMachine` decides which request
// comes next. `Renewal/` computes when certificates are due. `Limits/` computes when a CA's rate limits allow the next
// order. Everything that a CA sends is checked against its grammar before use.

import PKI
import Synchronization

/// A client for one account at one CA (RFC 8555). Several threads may share a client and its nonces.
///
/// If the CA is busy (429, 5xx) or can't be reached, a request is repeated for about a minute. The CA's Retry-After
/// decides the delays; otherwise the delays grow from 1 s. If the CA asks for a longer delay than the rest of the
/// minute, its refusal is thrown at once. Errors of the `ACMEEdge`, which sends the requests, are rethrown.
///
/// New orders, finalizations and key changes must not happen twice. If such a request may have arrived, the client does
/// not repeat it. The caller, who keeps a journal, decides what to do.
package final class ACMEClient: Sendable {
    struct State {
        var key: PrivateKey
        var account: ACMEURL?
        var directory: (value: ACMEDirectory, readAt: Int64)?
        var nonces = NoncePool()
        /// A line for each unusable member of the directory or account. `takeOddities` returns the lines and empties
        /// the list.
        var oddities: [String] = []
    }

    let directoryURL: ACMEURL
    let edge: any ACMEEdge
    let wait: @Sendable (Duration, _ cause: String) throws -> Void
    let now: @Sendable () -> Int64
    /// How long requests are repeated if the CA is busy or can't be reached.
    let patience: Duration
    let state: Mutex<State>

    /// Makes a client for a CA's directory and an account's key.
    ///
    /// - Parameters:
    ///   - account: The account's URL. If nil, the caller must first call `account(…)`.
    ///   - wait: Sleeps before a request is repeated. `cause` says why the last answer was of no use, without quoting
    ///     the CA. Errors of this closure are rethrown.
    ///   - patience: How long requests are repeated if the CA is busy or can't be reached.
    ///   - now: Returns seconds since 1970, to compute delays from dates in Retry-After.
    package init(
        directory: ACMEURL, key: PrivateKey, account: ACMEURL? = nil, edge: any ACMEEdge,
        wait: @escaping @Sendable (Duration, _ cause: String) throws -> Void, patience: Duration = .seconds(60),
        now: @escaping @Sendable () -> Int64
    ) {
        directoryURL = directory
        self.edge = edge
        self.wait = wait
        self.patience = patience
        self.now = now
        state = Mutex(State(key: key, account: account))
    }

    package var key: PrivateKey { state.withLock { $0.key } }

    /// The account's URL. Nil until it is known.
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

    /// Returns a line for each unusable member of the directory or account. A line is returned only once.
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
