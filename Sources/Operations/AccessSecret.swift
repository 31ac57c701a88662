import PKI

// Operations: what both the command line and the admin API do with a state, as functions of values. They print nothing,
// and don't know how their callers show a result.

/// The text of a token for the admin API: `aegis_` and 32 random bytes as 43 characters of base64url.
///
/// The prefix lets programs that search for leaked secrets find tokens. The text is random, so a plain SHA-256 keeps it
/// from those who read the state: there are no likely texts to try.
package enum AccessTokenText {
    private static let prefix = "aegis_"
    private static let randomBytes = 32
    private static let digits = 43

    package static func make() throws(PKIError) -> String {
        prefix + Base64URL.text(try SecretBytes.random(randomBytes).plainCopy())
    }

    /// The digest that the state keeps. Nil for a text that can't be a token.
    package static func digest(of text: String) -> [UInt8]? {
        let core = text.utf8.dropFirst(prefix.utf8.count)
        guard text.hasPrefix(prefix), core.count == digits, Base64URL.isText(core) else { return nil }
        return Digest.sha256(Array(text.utf8))
    }
}
