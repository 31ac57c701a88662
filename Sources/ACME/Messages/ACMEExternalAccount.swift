import PKI

/// An existing account at the CA, to which a new ACME account is bound (RFC 8555, section 7.3.4).
package struct ACMEExternalAccount: Sendable {
    /// The key identifier that the CA has issued.
    package let keyID: String
    package let macKey: SecretBytes

    /// Decodes the MAC key. It may be in base64url or in plain base64, as some CAs issue it, with padding or without,
    /// and with white space around it.
    package init(keyID: String, encodedKey: SecretBytes) throws(ACMEError) {
        guard let key = Base64URL.secret(encodedKey), key.count > 0 else { throw .badExternalAccountKey }
        self.keyID = keyID
        macKey = key
    }
}
