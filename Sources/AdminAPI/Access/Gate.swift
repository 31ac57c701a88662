import Gateway
import Operations
import PKI
import State
import Synchronization

/// Finds the caller of a request by its token, session cookie or client certificate.
final class Gate: Sendable {
    private let wrongTokens = Mutex(WrongTokens())
    private let now: @Sendable () -> Int64

    /// The least time between two records of a token's or session's last use, in seconds, since each record is a write
    /// to the state.
    private static let useSeconds: Int64 = 60

    /// `now` tells the present time, in seconds since 1970.
    init(now: @escaping @Sendable () -> Int64) { self.now = now }

    /// The request's credentials, for `identify`: `.none` if the client has shown a certificate, which suffices. Throws
    /// a problem (401 or 429) if the request has no usable credentials.
    func credentials(of request: AdminRequest) throws(Problem) -> Credentials {
        guard request.holder == nil else { return .none }
        let credentials = Credentials(request)
        if case .session = credentials { return credentials }
        guard credentials != .none else {
            throw Problem(
                .unauthorized, "Send a token as 'Authorization: Bearer …'; 'aegis-apply admin token create' makes one.",
                fields: [("WWW-Authenticate", "Bearer realm=\"aegis\"")])
        }
        guard case .bearer = credentials else { throw wrongToken(request) }
        return credentials
    }

    /// The caller. Throws a problem (401 or 429) if the credentials are not valid.
    ///
    /// - Parameter notesUse: Whether to record the use of the token or session. A page that only stays open in a
    ///   browser does not count as a use.
    func identify(
        _ credentials: Credentials, _ request: AdminRequest, in store: any StateStore, notesUse: Bool = true
    ) throws -> Caller {
        if let holder = request.holder {
            return Caller(kind: .certificate, name: holder.name, scope: holder.mayChange ? .write : .read)
        }
        switch credentials {
        case .bearer(let text): return try token(text, request, in: store, notesUse)
        case .session(let secret): return try session(secret, in: store, notesUse)
        case .none, .unusable: throw wrongToken(request)
        }
    }

    private func token(_ text: String, _ request: AdminRequest, in store: any StateStore, _ notesUse: Bool) throws
        -> Caller
    {
        let now = now()
        guard let token = Credentials.token(text, among: try store.accessTokens()), !token.isExpired(at: now) else {
            throw wrongToken(request)
        }
        if notesUse, (token.lastUsedAt ?? 0) + Self.useSeconds <= now {
            // A state that can't be written now may still be read.
            try? store.noteUse(ofToken: token.name, at: now)
        }
        return Caller(kind: .token, name: token.name, scope: token.scope)
    }

    /// A network that has sent too many wrong tokens must wait. A good token always works, since processes of several
    /// people may share an address.
    private func wrongToken(_ request: AdminRequest) -> Problem {
        if let seconds = wrongTokens.withLock({ $0.wait(of: request.network, now: now()) }) {
            return Problem(
                .tooManyTries, "Too many wrong tokens came from this address.", fields: [("Retry-After", "\(seconds)")])
        }
        wrongTokens.withLock { $0.note(request.network, now: now()) }
        return Problem(
            .unauthorized, "The token is not good: it is unknown, has expired or was revoked.",
            fields: [("WWW-Authenticate", "Bearer realm=\"aegis\", error=\"invalid_token\"")])
    }

    private func session(_ secret: String, in store: any StateStore, _ notesUse: Bool) throws -> Caller {
        let now = now()
        guard let digest = AccessSecret.session.digest(of: secret), let session = try store.session(digest: digest),
            !session.isOver(at: now)
        else { throw Problem(.unauthorized, "The session is over.") }
        if notesUse, session.lastUsedAt + Self.useSeconds <= now { try? store.noteUse(ofSession: digest, at: now) }
        return Caller(kind: .person, name: session.openedBy, scope: .write)
    }

    /// Refuses a change that the configuration does not allow.
    func checkChange(_ request: AdminRequest) throws(Problem) {
        guard request.mayChange else { throw Problem.readOnly }
    }

    /// Refuses a change that a page of another origin has sent.
    func checkOrigin(_ request: AdminRequest) throws(Problem) {
        guard OriginRule.isMet(by: request) else {
            throw Problem(.foreignOrigin, "Only the admin page itself may change anything by a browser.")
        }
    }

    /// Refuses a session's change that our own page has not sent. Browsers send the cookie to each port of the machine's
    /// name, and count the other ports as the same site, so SameSite protects nobody here. `token` is the change token
    /// that the page has sent.
    func checkPage(_ request: AdminRequest, _ credentials: Credentials, token: String?) throws(Problem) {
        guard case .session(let secret) = credentials else { return }
        let expected = SecretBytes(Array(SessionCookie.changeToken(of: secret).utf8))
        guard OriginRule.isProven(by: request), SecretBytes(Array((token ?? "").utf8)) == expected else {
            throw Problem(
                .foreignOrigin, "The request does not show that the admin page has sent it. Load the page again.")
        }
    }
}
