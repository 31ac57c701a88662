/// An ACME CA (RFC 8555) and how it is talked to.
package struct ACMEIssuer: Sendable, Equatable {
    /// How control over a name is shown.
    package enum Challenge: String, ChoiceValue {
        /// A token over plain HTTP (RFC 8555 section 8.3).
        case http01 = "http-01"
        /// A certificate in a TLS handshake (RFC 8737).
        case tlsALPN01 = "tls-alpn-01"
        /// A TXT record (RFC 8555 section 8.4); the only one for wildcards.
        case dns01 = "dns-01"
    }

    /// Which CA's published limits are kept to before asking it.
    package enum RateLimits: String, ChoiceValue {
        /// Let's Encrypt's.
        case letsencrypt
        /// None.
        case none
    }

    /// The directory to start from; always https.
    package var directory: ServiceURL
    /// Who the CA may write to.
    package var email: String?
    /// A PEM file of CAs trusted for the directory's server; nil: the system's.
    package var caFile: String?
    /// How control over names is shown.
    package var challenge = Challenge.http01
    /// The keys of its certificates.
    package var keyType = KeyType.ecdsaP256
    /// An account at the CA to bind to (RFC 8555 section 7.3.4).
    package var externalAccount: ExternalAccount?
    /// The certificate profile to ask for.
    package var profile: String?
    /// The common name of the root that the chain should end in, where the CA offers several.
    package var preferredChain: String?
    /// How long before its end a certificate is renewed, up to 366 days, since those of public CAs live for 398 at most; nil: a
    /// third of its lifetime, or as the CA advises.
    package var renewBefore: Duration?
    /// How long a handshake waits for a certificate that is being ordered.
    package var onDemandWait = Duration.seconds(10)
    /// Whose limits are kept to; nil: Let's Encrypt's for its own directories, none for others.
    package var rateLimits: RateLimits?
    /// How TXT records are written, for dns-01.
    package var dns: DNSProvider?

    static let shape = ObjectShape<ACMEIssuer>(
        "an ACME issuer", "An ACME CA (RFC 8555)", initial: ACMEIssuer(directory: ServiceURL("")),
        fields: [
            .tag("type", "acme", "An ACME CA, public or private"),
            .required("directory", \.directory, .httpsURL, "The CA's directory URL"),
            .optional("email", \.email, .email, "Who the CA may write to"),
            .optional("ca_file", \.caFile, .path, "CAs trusted for the directory's server, in PEM; else the system's"),
            .defaulted("challenge", \.challenge, .choice("challenge"), "How control over a name is shown"),
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
                "Whose limits are kept to; left out: Let's Encrypt's for its own directories, none for others"),
            .optional("dns", \.dns, DNSProvider.shape, "How TXT records are written, for dns-01"),
        ])
}

/// External account binding: an account that the CA knows already (RFC 8555 section 7.3.4).
package struct ExternalAccount: Sendable, Equatable {
    /// The account's key identifier.
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
