import PKI

/// An account at the CA's web site, to which a new ACME account is bound (RFC 8555 section 7.3.4).
package struct ACMEExternalAccount: Sendable {
    /// The key identifier that the CA has given to the operator.
    package let keyID: String
    package let macKey: SecretBytes

    /// Decodes the MAC key. It should be base64url, but some CAs give it in standard base64 or with padding.
    package init(keyID: String, encodedKey: SecretBytes) throws(ACMEError) {
        guard let key = Base64URL.secret(encodedKey), key.count > 0 else { throw .badExternalAccountKey }
        self.keyID = keyID
        macKey = key
    }
}
