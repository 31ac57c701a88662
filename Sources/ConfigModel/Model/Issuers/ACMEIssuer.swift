/// An ACME CA (RFC 8555) and its settings.
package struct ACMEIssuer: IssuerKind {
    package static let typeName = "acme"

    /// The way to prove control over a name to the CA.
    package enum Challenge: String, ChoiceValue {
        /// A token over plain HTTP (RFC 8555 section 8.3).
        case http01 = "http-01"
        /// A certificate in a TLS handshake (RFC 8737).
        case tlsALPN01 = "tls-alpn-01"
        /// A TXT record (RFC 8555 section 8.4); the only challenge for wildcards.
        case dns01 = "dns-01"
    }

    /// The CA whose published rate limits Aegis respects before it places an order.
    package enum RateLimits: String, ChoiceValue {
        case letsencrypt
        case none
    }

    /// The URL of the CA's directory (RFC 8555 section 7.1.1); always https.
    package var directory: ServiceURL
    /// The address that the CA may send mail to.
    package var email: String?
    /// A PEM file of the CAs that are trusted for the directory's server; nil: the system's CAs.
    package var caFile: String?
    package var challenge = Challenge.http01
    package var keyType = KeyType.ecdsaP256
    /// An existing account at the CA that Aegis binds its own account to (RFC 8555 section 7.3.4).
    package var externalAccount: ExternalAccount?
    /// The certificate profile that orders ask for.
    package var profile: String?
    /// Selects a chain if the CA offers several. It is the common name of the chain's last certificate, or of that
    /// certificate's issuer.
    package var preferredChain: String?
    /// How long before its expiry a certificate is renewed; nil: a third of its lifetime, or as the CA advises. At most
    /// 366 days, since public CAs issue certificates for at most 398 days.
    package var renewBefore: Duration?
    /// How long a handshake waits for a certificate that is being ordered.
    package var onDemandWait = Duration.seconds(10)
    /// The limits to respect; nil: the limits of Let's Encrypt for its own directories, no limits for other CAs.
    package var rateLimits: RateLimits?
    /// How to write TXT records for dns-01.
    package var dns: DNSProvider?

    static let shape = ObjectShape<ACMEIssuer>(
        "an ACME issuer", "An ACME CA (RFC 8555)", initial: ACMEIssuer(directory: ServiceURL("")),
        fields: [
            .tag("type", typeName, "An ACME CA, public or private"),
            .required("directory", \.directory, .httpsURL, "The CA's directory URL"),
            .optional("email", \.email, .email, "The address to which the CA may write"),
            .optional("ca_file", \.caFile, .path, "CAs trusted for the directory's server, in PEM; else the system's"),
            .defaulted("challenge", \.challenge, .choice("challenge"), "How control over a name is proved"),
            .defaulted("key_type", \.keyType, .choice("key type"), "The keys of its certificates"),
            .optional("eab", \.externalAccount, ExternalAccount.shape.shape, "An account at the CA to bind to"),
            .optional(
                "profile", \.profile, .string("a profile", lengths: 1...100), "The certificate profile to ask for"),
            .optional(
                "preferred_chain", \.preferredChain, .string("a common name", lengths: 1...200),
                "The common name of the root that the chain should end in"),
            .optional(
                "renew_before", \.renewBefore, .duration(in: .seconds(3600) ... .seconds(86_400 * 366)),
                "How long before its end a certificate is renewed; left out: a third of its lifetime, or as the CA advises"
            ),
            .defaulted(
                "on_demand_wait", \.onDemandWait, .duration(in: .zero ... .seconds(60)),
                "How long a handshake waits for a certificate that is being ordered"),
            .optional(
                "rate_limits", \.rateLimits, .choice("rate limits"),
                "The CA whose published limits apply; left out: Let's Encrypt's for its own directories, none for others"
            ),
            .optional("dns", \.dns, DNSProvider.shape, "How TXT records are written, for dns-01"),
        ])

    package var secrets: [Secret] { [externalAccount?.hmacKey].compactMap(\.self) + (dns?.secrets ?? []) }

    package var defaultKeyType: KeyType? { keyType }
}

/// External account binding: an account that already exists at the CA (RFC 8555 section 7.3.4).
package struct ExternalAccount: Sendable, Equatable {
    package var keyID = ""
    /// The account's MAC key in base64url or plain base64.
    package var hmacKey = Secret(.inline(""))

    static let shape = ObjectShape<ExternalAccount>(
        "an external account", "An account at the CA to bind to", initial: ExternalAccount(),
        fields: [
            .required("kid", \.keyID, .string("a key identifier", lengths: 1...1000), "The account's key identifier"),
            .required("hmac_key", \.hmacKey, .secret, "The account's MAC key in base64url or base64"),
        ])
}
