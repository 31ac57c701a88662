import PKI

/// The key authorization, with which a challenge is answered (RFC 8555, section 8.1). `ChallengeCertificate` needs its
/// text.
package struct ACMEKeyAuthorization: Sendable, Hashable {
    package let token: String
    /// The token, a dot, and the thumbprint of the account's key.
    package let text: String

    /// Makes the key authorization for a challenge and an account's key.
    package init(_ challenge: ACMEAuthorization.Challenge, key: PrivateKey) throws(ACMEError) {
        do throws(PKIError) {
            token = challenge.token
            text = "\(challenge.token).\(try key.jsonWebKey.thumbprint)"
        } catch {
            throw .signing(error)
        }
    }

    /// The value of the TXT record for dns-01 (RFC 8555, section 8.4).
    package var dnsValue: String { Base64URL.text(Digest.sha256(Array(text.utf8))) }
}
