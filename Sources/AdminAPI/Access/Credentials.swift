import Gateway
import Operations
import PKI
import State

/// Who sent a request, and what this party may do.
struct Caller: Sendable, Equatable {
    enum Kind: String {
        case token, certificate
        /// A person at the admin page.
        case person
    }

    let kind: Kind
    /// The name of the token, of the certificate, or of the person who made the login link.
    let name: String
    let scope: AccessToken.Scope

    /// The name that events record.
    var actor: String { "\(kind.rawValue):\(name)" }
}

/// What a request shows to prove who sent it.
enum Credentials: Equatable {
    case none
    /// A bearer token (RFC 6750 section 2.1).
    case bearer(String)
    /// The secret of a session, from the page's cookie.
    case session(String)
    /// Several tokens or several sessions, or a credential of another kind.
    case unusable

    init(_ request: AdminRequest) {
        let values = request.values(of: "authorization")
        guard let value = values.first else {
            let cookies = SessionCookie.values(in: request)
            self = cookies.count > 1 ? .unusable : cookies.first.map { .session($0) } ?? .none
            return
        }
        let words = value.split(separator: " ", maxSplits: 1)
        guard values.count == 1, words.count == 2, words[0].lowercased() == "bearer" else {
            self = .unusable
            return
        }
        self = .bearer(String(words[1].drop { $0 == " " }))
    }

    /// The token with this text among `tokens`; nil if there is none. Compares all bytes with every token, so the time
    /// that it takes reveals nothing about the tokens.
    static func token(_ text: String, among tokens: [AccessToken]) -> AccessToken? {
        guard let digest = AccessSecret.token.digest(of: text).map({ SecretBytes($0) }) else { return nil }
        var found: AccessToken?
        for token in tokens where SecretBytes(token.digest) == digest { found = token }
        return found
    }
}
