/// Cloudflare's Origin CA (https://developers.cloudflare.com/api/resources/origin_ca_certificates).
package struct CloudflareOriginIssuer: IssuerKind {
    package static let typeName = "cloudflare_origin"
    static let hasZones = true

    /// The credential that Aegis shows to Cloudflare.
    package enum AuthMethod: String, ChoiceValue {
        /// A scoped API token.
        case apiToken = "api_token"
        /// An Origin CA key, which Cloudflare has deprecated.
        case originCAKey = "origin_ca_key"
    }

    /// The kind of key in the certificates.
    package enum RequestType: String, ChoiceValue {
        /// RSA with 2048 bits.
        case rsa = "origin-rsa"
        /// ECDSA on P-256.
        case ecc = "origin-ecc"
    }

    /// How Aegis treats a certificate that the file no longer names.
    package enum Removal: String, ChoiceValue {
        /// The certificate stays valid until it expires.
        case keep
        /// The certificate is revoked, which can't be undone.
        case revoke
    }

    /// The validities that Cloudflare offers, in days.
    static let validities = [7, 30, 90, 365, 730, 1095, 5475]
    /// The most names that one certificate can have.
    static let maxNames = 200
    static let defaultBaseURL = ServiceURL("https://api.cloudflare.com/client/v4")

    package var authMethod = AuthMethod.apiToken
    /// The token, when `authMethod` is `api_token`.
    package var apiToken: Secret?
    /// The key, when `authMethod` is `origin_ca_key`.
    package var originCAKey: Secret?
    package var requestType = RequestType.ecc
    package var requestedValidityDays = 5475
    /// The identifier of the certificates' zone. A certificate's own `zone_id` takes precedence.
    package var zoneID: String?
    /// Whether a replaced certificate is revoked once its replacement is in force.
    package var revokeReplaced = false
    package var onRemoval = Removal.keep
    package var baseURL = defaultBaseURL
    /// A PEM file of the CAs that are trusted for the API's server; nil: the system's CAs.
    package var caFile: String?

    static let shape = ObjectShape<CloudflareOriginIssuer>(
        "a Cloudflare Origin issuer", "Cloudflare's Origin CA", initial: CloudflareOriginIssuer(),
        fields: [
            .tag("type", typeName, "Cloudflare's Origin CA"),
            .defaulted("auth_method", \.authMethod, .choice("authentication method"), "How Aegis proves its identity"),
            .optional("api_token", \.apiToken, .secret, "A token with the permission Zone, SSL and Certificates, Edit"),
            .optional("origin_ca_key", \.originCAKey, .secret, "An Origin CA key, which Cloudflare has deprecated"),
            .defaulted("request_type", \.requestType, .choice("request type"), "The kind of certificate and key"),
            .defaulted(
                "requested_validity", \.requestedValidityDays, .integer(oneOf: validities),
                "How many days a certificate lives"),
            .optional("zone_id", \.zoneID, .zoneID, "The zone of its certificates; a certificate's own wins"),
            .defaulted(
                "revoke_replaced", \.revokeReplaced, .flag,
                "Whether a replaced certificate is revoked once the new one is in force"),
            .defaulted(
                "on_removal", \.onRemoval, .choice("choice"),
                "What becomes of a certificate that the file no longer names; revoking can't be undone"),
            .defaulted("base_url", \.baseURL, .httpsURL, "Where the API is, with its path"),
            .optional("ca_file", \.caFile, .path, "CAs trusted for the API's server, in PEM; else the system's"),
        ])

    package var secrets: [Secret] { [apiToken, originCAKey].compactMap(\.self) }
}

extension ValueShape where Value == String {
    static let zoneID = string(
        "a zone identifier of 32 hex digits", lengths: 1...32, pattern: "^[0-9a-f]{32}$",
        check: { (text) throws(ValueFault) in
            let isHex = text.utf8.allSatisfy { byte in
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
            }
            guard text.utf8.count == 32, isHex else {
                throw ValueFault(
                    "bad zone identifier",
                    hint: "it has 32 lower-case hex digits; see the zone's overview page")
            }
        })
}
