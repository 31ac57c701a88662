/// An answer that a CA will request to verify who controls a domain.
package struct ACMEChallenge: Sendable, Equatable {
    /// How the CA verifies control over the domain.
    package enum Kind: String, Sendable {
        /// By an HTTP request for a path (RFC 8555 section 8.3).
        case http01 = "http-01"
        /// By a TLS handshake (RFC 8737).
        case tlsALPN01 = "tls-alpn-01"
    }

    package let kind: Kind
    /// The challenge's identifier: 1 to 256 characters of base64url. For http-01 the token is the last part of the
    /// path.
    package let token: String
    /// The answer: the token, a dot, and the thumbprint of the account's key (RFC 8555 section 8.1).
    package let keyAuthorization: String
    /// The domain to be verified.
    package let domain: String
    /// When the challenge was made, in seconds since 1970.
    package let createdAt: Int64

    /// Makes a challenge; nil when the token or the key authorization is malformed.
    ///
    /// The CA chooses the token, and gateways serve the key authorization unchanged, so only base64url is accepted.
    package init?(kind: Kind, token: String, keyAuthorization: String, domain: String, createdAt: Int64) {
        let parts = keyAuthorization.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard Self.isToken(token.utf8), parts.count == 2, parts[0].elementsEqual(token.utf8), Self.isToken(parts[1])
        else { return nil }
        self.kind = kind
        self.token = token
        self.keyAuthorization = keyAuthorization
        self.domain = domain
        self.createdAt = createdAt
    }

    /// Whether these bytes are 1 to 256 characters of base64url (RFC 4648 section 5), like tokens and thumbprints.
    package static func isToken(_ bytes: some Collection<UInt8>) -> Bool {
        1...256 ~= bytes.count
            && bytes.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }
}
