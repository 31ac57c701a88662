import PKI

/// An account that the CA knows already, to which a new one is bound (RFC 8555, section 7.3.4).
package struct ACMEExternalAccount: Sendable {
    /// The key's identifier, as the CA has given it.
    package let keyID: String
    /// The MAC key.
    package let macKey: SecretBytes

    /// An account whose MAC key is written in base64url, or in plain base64 as some CAs hand it out; with padding or without, and
    /// with white space around it.
    package init(keyID: String, encodedKey: SecretBytes) throws(ACMEError) {
        guard let key = Base64URL.secret(encodedKey), key.count > 0 else { throw .badExternalAccountKey }
        self.keyID = keyID
        macKey = key
    }
}
