/// An advanced certificate pack of Cloudflare: ordered by Aegis, served by Cloudflare's edge.
package struct EdgeCertificate: Sendable, Equatable {
    /// The CAs that Cloudflare offers.
    package enum Authority: String, ChoiceValue {
        /// Google Trust Services.
        case google
        case letsEncrypt = "lets_encrypt"
        case sslCom = "ssl_com"
    }

    /// How Cloudflare checks that the zone's owner controls the names.
    package enum Validation: String, ChoiceValue {
        /// By a TXT record.
        case txt
        /// By a file over HTTP.
        case http
        /// By a mail to the domain's owner.
        case email
    }

    /// How Aegis treats a pack that the file no longer names.
    package enum Removal: String, ChoiceValue {
        /// The pack is deleted at Cloudflare.
        case delete
        /// The pack stays at Cloudflare.
        case keep
    }

    /// The pack's name in the file; nil: the zone's apex.
    package var name: String?
    /// The pack's place in the file.
    package var origin = SourceOrigin.none
    package var zoneID = ""
    /// An API token with the permission "Zone, SSL and Certificates, Edit".
    package var apiToken = Secret(.inline(""))
    /// The pack's names, including the zone's apex: at most 50.
    package var hosts: [DomainName] = []
    package var authority = Authority.letsEncrypt
    package var validation = Validation.txt
    package var validityDays = 90
    /// Whether Cloudflare's own name becomes the certificate's common name.
    package var cloudflareBranding = false
    /// How long `aegis-apply` waits until the pack is active.
    package var wait = Duration.seconds(60)
    package var onRemoval = Removal.delete
    package var baseURL = CloudflareOriginIssuer.defaultBaseURL
    /// A PEM file of the CAs that are trusted for the API's server; nil: the system's CAs.
    package var caFile: String?

    /// The pack's name in plans and messages: `name`, else the zone's apex, which is the shortest of its hosts.
    package var displayName: String {
        let plain = hosts.lazy.filter { !$0.isWildcard }.map(\.text)
        let apex = plain.min { ($0.utf8.count, $0) < ($1.utf8.count, $1) }
        return name ?? apex ?? hosts.first?.text ?? ""
    }

    /// Whether both packs need the same order at Cloudflare. A change of any other setting takes effect without a new
    /// order.
    package func isSameOrder(as other: EdgeCertificate) -> Bool {
        zoneID == other.zoneID && baseURL == other.baseURL && Set(hosts) == Set(other.hosts)
            && authority == other.authority && validation == other.validation && validityDays == other.validityDays
            && cloudflareBranding == other.cloudflareBranding
    }

    static let shape = ObjectShape<EdgeCertificate>(
        "an edge certificate", "A certificate ordered at Cloudflare and served by its edge", initial: EdgeCertificate(),
        place: { $0.origin = $1 },
        fields: [
            .optional("name", \.name, .name, "Its name; left out: its zone's apex"),
            .required("zone_id", \.zoneID, .zoneID, "The zone it belongs to"),
            .required("api_token", \.apiToken, .secret, "A token with the permission Zone, SSL and Certificates, Edit"),
            .required(
                "hosts", \.hosts, .list(of: .domain, allowsEmpty: false, atMost: 50, "names"), "The names it is for"),
            .defaulted("certificate_authority", \.authority, .choice("certificate authority"), "The CA"),
            .defaulted(
                "validation_method", \.validation, .choice("validation method"), "How control over a name is proved"),
            .defaulted(
                "validity_days", \.validityDays, .integer(oneOf: [14, 30, 90, 365]), "How many days it lives"),
            .defaulted(
                "cloudflare_branding", \.cloudflareBranding, .flag, "Whether Cloudflare puts its own name first"),
            .defaulted(
                "wait", \.wait, .duration(in: .zero ... .seconds(3600)), "How long an apply waits until it is active"),
            .defaulted(
                "on_removal", \.onRemoval, .choice("choice"),
                "Whether it is kept or deleted when the file no longer names it"),
            .defaulted("base_url", \.baseURL, .httpsURL, "Where the API is, with its path"),
            .optional("ca_file", \.caFile, .path, "CAs trusted for the API's server, in PEM; else the system's"),
        ])
}
