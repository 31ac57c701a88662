// ACME: certificates from a CA by RFC 8555, with what has grown around it: tls-alpn-01 (RFC 8737), addresses (RFC 8738),
// renewal information (RFC 9773), profiles. Pure: HTTP, time and randomness come from the caller, which also keeps what must
// outlive a crash. `ACMEClient` says single things to a CA, `OrderMachine` what is to be said next; `Renewal/` tells when
// certificates are due, `Limits/` when a CA lets us order. Nothing that a CA sends is used before its grammar is checked.

import PKI
import Synchronization

/// One account's conversation with one CA (RFC 8555). Threads may share it: nonces are kept for all.
///
/// A CA that is busy (429, 5xx) or can't be reached is asked again for about a minute in all, as it wishes or with growing
/// delays; where the CA wants to be left alone for longer, its refusal is thrown at once. Errors of the edge pass through. What
/// must not happen twice (an order, its finalization, a change of key) is not repeated when the edge says that it may have
/// arrived: who keeps a journal decides then.
package final class ACMEClient: Sendable {
    struct State {
        var key: PrivateKey
        var account: ACMEURL?
        var directory: (value: ACMEDirectory, readAt: Int64)?
        var nonces = NoncePool()
        /// What of directory and account is odd and nobody was told yet.
        var oddities: [String] = []
    }

    let directoryURL: ACMEURL
    let edge: any ACMEEdge
    let wait: @Sendable (Duration) throws -> Void
    let now: @Sendable () -> Int64
    /// For how long a CA that is busy, or can't be reached, is asked again.
    let patience: Duration
    let state: Mutex<State>

    /// A client for the CA of a directory and an account's key.
    ///
    /// - Parameters:
    ///   - account: the account's URL, where it is known from before; else `account(…)` comes first.
    ///   - wait: waits before another try; what it throws passes through.
    ///   - patience: for how long a CA that is busy, or can't be reached, is asked again.
    ///   - now: seconds since 1970, which dates in answers are compared with.
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

    /// The account's key, as changed last.
    package var key: PrivateKey { state.withLock { $0.key } }

    /// The account's URL, once known.
    package var accountURL: ACMEURL? { state.withLock { $0.account } }

    /// Where everything is; asked for once a day, since a gateway runs for months.
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

    /// What of directory and account is odd, a line each, for whoever asks first since they were read.
    package func takeOddities() -> [String] {
        state.withLock { state in
            defer { state.oddities = [] }
            return state.oddities
        }
    }

    /// The key authorization of a challenge.
    package func keyAuthorization(_ challenge: ACMEAuthorization.Challenge) throws(ACMEError) -> ACMEKeyAuthorization {
        try ACMEKeyAuthorization(challenge, key: key)
    }
}
