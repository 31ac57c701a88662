import PKI

/// The text with which a client answers a challenge (key authorization, RFC 8555 section 8.1).
package struct ACMEKeyAuthorization: Sendable, Hashable {
    package let token: String
    /// The token, a dot, and the thumbprint of the account's key.
    package let text: String

    package init(_ challenge: ACMEAuthorization.Challenge, key: PrivateKey) throws(ACMEError) {
        do throws(PKIError) {
            token = challenge.token
            text = "\(challenge.token).\(try key.jsonWebKey.thumbprint)"
        } catch {
            throw .signing(error)
        }
    }

    /// The value of the TXT record for a dns-01 challenge (RFC 8555 section 8.4).
    package var dnsValue: String { Base64URL.text(Digest.sha256(Array(text.utf8))) }
}
