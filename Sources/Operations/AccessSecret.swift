import PKI

// Operations: what both the command line and the admin API do with a state, as functions of values. They print nothing,
// and don't know how their callers show a result.

/// The secrets that give access to the admin API and its page. Each is a prefix and 32 random bytes as 43 characters of
/// base64url.
///
/// The state keeps a plain SHA-256 of the text. It does not reveal the text, since a random text can't be guessed.
package enum AccessSecret {
    /// A program's token. The prefix lets programs that search for leaked secrets find tokens.
    case token
    /// The secret in a link that opens a session of the page.
    case loginLink
    /// The secret of a session, which the browser has in a cookie.
    case session

    private var prefix: String {
        switch self {
        case .token: "aegis_"
        case .loginLink, .session: ""
        }
    }

    private static let randomBytes = 32
    private static let digits = 43

    package func make() throws(PKIError) -> String {
        prefix + Base64URL.text(try SecretBytes.random(Self.randomBytes).plainCopy())
    }

    /// The digest that the state keeps. Nil for a text that can't be such a secret.
    package func digest(of text: String) -> [UInt8]? {
        let core = text.utf8.dropFirst(prefix.utf8.count)
        guard text.hasPrefix(prefix), core.count == Self.digits, Base64URL.isText(core) else { return nil }
        return Digest.sha256(Array(text.utf8))
    }
}
