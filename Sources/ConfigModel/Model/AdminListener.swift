/// The admin listener, which serves health, metrics and the admin API.
package struct AdminListener: Sendable, Equatable {
    /// The largest access that clients of the admin API may have, whatever their tokens allow.
    package enum API: String, ChoiceValue {
        /// Clients may read and change.
        case write
        /// Clients may only read. This suits operators who make all changes in the file.
        case read
        /// There is no admin API.
        case off
    }

    package var address = ListenAddress(address: IPAddress("127.0.0.1"), port: 9443)
    package var api = API.write
    package var cloudflare = Cloudflare()

    /// Where the admin API orders certificates of Cloudflare. No request can name another address.
    package struct Cloudflare: Sendable, Equatable {
        package var baseURL = CloudflareOriginIssuer.defaultBaseURL
        /// A PEM file of the CAs that are trusted for the API's server; nil: the system's CAs.
        package var caFile: String?
    }

    /// The shape of the listener: its address, or a mapping with the address and further settings.
    static let shape = ValueShape<AdminListener>(
        schema: .oneOf([ValueShape.listenAddress.schema, mapping.schema]),
        read: { node, reader in
            guard reader.document.kind(of: node) == .mapping else {
                return ValueShape.listenAddress.read(node, &reader).map { AdminListener(address: $0) }
            }
            return mapping.read(node, &reader)
        },
        write: { listener, style in
            listener.api == API.write && listener.cloudflare == Cloudflare()
                ? ValueShape.listenAddress.write(listener.address, style) : mapping.write(listener, style)
        })

    private static let mapping = ObjectShape<AdminListener>(
        "an admin listener", "The address, and what the admin API may do", initial: AdminListener(),
        fields: [
            .defaulted("listen", \.address, .listenAddress, "The address of health checks, metrics and the admin API"),
            .defaulted(
                "api", \.api, .choice("use of the admin API"),
                "What clients of the admin API may do at most; off: there is no API"),
            .nested(
                "cloudflare", "Where the admin API orders certificates of Cloudflare",
                ObjectShape(
                    "Cloudflare", "Where the admin API orders certificates of Cloudflare", initial: AdminListener(),
                    fields: [
                        .defaulted(
                            "base_url", \.cloudflare.baseURL, .httpsURL, "Where Cloudflare's API is, with its path"),
                        .optional(
                            "ca_file", \.cloudflare.caFile, .path,
                            "CAs trusted for the API's server, in PEM; else the system's"),
                    ])),
        ])
}
