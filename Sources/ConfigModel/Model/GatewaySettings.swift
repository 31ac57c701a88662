/// How the gateway listens, limits and logs.
package struct GatewaySettings: Sendable, Equatable {
    /// Where plain HTTP is listened for.
    package var http = [ListenAddress(address: nil, port: 8080)]
    /// Where HTTPS is listened for.
    package var https = [ListenAddress(address: nil, port: 8443)]
    /// Where health, metrics and the admin API are listened for.
    package var admin = ListenAddress(address: IPAddress("127.0.0.1"), port: 9443)
    /// The directory of the local CA's files, relative to the file; `AEGIS_SSL_CACHE_DIR` wins.
    package var cacheDirectory = ".cache/ssl"
    /// The peers whose `X-Forwarded-*` headers are believed.
    package var trustedProxies: [NetworkBlock] = []
    /// The field in which trusted proxies name the client.
    package var clientAddress = ClientAddressField.xForwardedFor
    /// What one client may use.
    package var limits = GatewayLimits()
    /// Where requests are logged.
    package var accessLog = AccessLog()
    /// How many threads serve; nil: one a core.
    package var workers: Int?

    /// The defaults.
    package init() {}

    static let shape = ObjectShape<GatewaySettings>(
        "a gateway", "How the gateway listens, limits and logs", initial: GatewaySettings(),
        fields: [
            .defaulted(
                "http", \.http, .list(of: .listenAddress, atMost: 100, "addresses"), "Where plain HTTP is listened for"),
            .defaulted(
                "https", \.https, .list(of: .listenAddress, atMost: 100, "addresses"), "Where HTTPS is listened for"),
            .defaulted("admin", \.admin, .listenAddress, "Where health, metrics and the admin API are listened for"),
            .defaulted(
                "cache_dir", \.cacheDirectory, .path,
                "The directory of the local CA's files, relative to this file; AEGIS_SSL_CACHE_DIR wins"),
            .defaulted(
                "trusted_proxies", \.trustedProxies, .list(of: .networkBlock, atMost: 1000, "address ranges"),
                "The peers whose X-Forwarded-* headers are believed"),
            .defaulted(
                "client_address", \.clientAddress, .choice("client address field"),
                "The one field in which trusted_proxies name the client; the others are not believed"),
            .defaulted("limits", \.limits, GatewayLimits.shape.shape, "What one client may use"),
            .defaulted("access_log", \.accessLog, AccessLog.shape.shape, "Where requests are logged"),
            .optional("workers", \.workers, .integer(in: 1...1024), "How many threads serve; left out: one a core"),
        ])
}

/// The field in which trusted proxies name the client. One is believed and no other: a proxy that writes one passes on
/// whatever the client has put into the others.
package enum ClientAddressField: String, ChoiceValue {
    /// A list to which each proxy appends its peer: what most proxies write.
    case xForwardedFor = "x-forwarded-for"
    /// The same with more said of each step (RFC 7239).
    case forwarded
    /// One address, which the proxy puts in the place of any other.
    case xRealIP = "x-real-ip"
    /// One address, from Cloudflare.
    case cfConnectingIP = "cf-connecting-ip"
}

/// Bounds on what clients may send and how long they may take.
package struct GatewayLimits: Sendable, Equatable {
    /// Bytes of a request's line and header fields together.
    package var headerBytes = 32 * 1024
    /// Header fields in a request; each crumb of a Cookie counts.
    package var headerFields = 100
    /// Bytes of a request's body; 0: no bound. A host's own bound wins.
    package var bodyBytes = 10 * 1024 * 1024
    /// Bytes of a request's body that are collected before an upstream is taken; 0: none.
    package var bodyBufferBytes = 64 * 1024
    /// Bytes a second that a body comes with at least, after the first `bodyProgressTimeout`; 0: any.
    package var bodyMinRate = 240
    /// From the connection to the end of the TLS handshake.
    package var handshakeTimeout = Duration.seconds(10)
    /// From a request's first byte to the end of its head.
    package var requestHeaderTimeout = Duration.seconds(10)
    /// Between two pieces of a body, and for how long a body may fall short of `bodyMinRate`.
    package var bodyProgressTimeout = Duration.seconds(30)
    /// Between two requests of a connection.
    package var idleTimeout = Duration.seconds(60)
    /// Connections of clients at once.
    package var connections = 50_000
    /// Connections of one client's address at once; 0: no bound of its own; nil: a share of those that are in force. Trusted
    /// proxies have none.
    package var connectionsPerClient: Int?

    /// The defaults.
    package init() {}

    static let shape = ObjectShape<GatewayLimits>(
        "limits", "What one client may use", initial: GatewayLimits(),
        fields: [
            .defaulted(
                "header_bytes", \.headerBytes, .byteSize(in: 1024...1_048_576),
                "Size of a request's line and header fields together"),
            .defaulted(
                "header_fields", \.headerFields, .integer(in: 1...10_000),
                "Header fields in a request; each crumb of a Cookie counts"),
            .defaulted("body_bytes", \.bodyBytes, .bodySize, "Size of a request's body; 0: no bound"),
            .defaulted(
                "body_buffer_bytes", \.bodyBufferBytes, .byteSize(in: 0...1_048_576),
                "How much of a request's body is collected before an upstream is taken; 0: none"),
            .defaulted(
                "body_min_rate", \.bodyMinRate, .byteSize(in: 0...1_073_741_824),
                "How much of a body must come each second, after the first body_progress_timeout; 0: any"),
            .defaulted(
                "handshake_timeout", \.handshakeTimeout, .timeout, "From the connection to the end of the TLS handshake"
            ),
            .defaulted(
                "request_header_timeout", \.requestHeaderTimeout, .timeout,
                "From a request's first byte to the end of its head"),
            .defaulted("body_progress_timeout", \.bodyProgressTimeout, .timeout, "Between two pieces of a body"),
            .defaulted("idle_timeout", \.idleTimeout, .timeout, "Between two requests of a connection"),
            .defaulted("connections", \.connections, .integer(in: 1...1_000_000), "Connections of clients at once"),
            .optional(
                "connections_per_client", \.connectionsPerClient, .integer(in: 0...1_000_000),
                "Connections of one client's address at once; 0: no bound of its own; left out: a quarter of those that "
                    + "can be had, 1000 at most; trusted proxies have none"),
        ])
}

/// Where and how requests are logged.
package struct AccessLog: Sendable, Equatable {
    /// Where the lines go.
    package enum Destination: Sendable, Hashable {
        /// Nowhere.
        case none
        /// To the standard output.
        case standardOutput
        /// To a file, relative to the configuration file.
        case file(String)
    }

    /// The form of a line.
    package enum Format: String, ChoiceValue {
        /// One JSON object a line.
        case json
        /// The combined format of Apache and nginx, with the host behind it.
        case combined
    }

    /// Where the lines go.
    package var destination = Destination.none
    /// The form of a line.
    package var format = Format.json

    /// The defaults.
    package init() {}

    static let shape = ObjectShape<AccessLog>(
        "an access log", "Where requests are logged", initial: AccessLog(),
        fields: [
            .defaulted("to", \.destination, .logDestination, "none, stdout or the path of a file"),
            .defaulted("format", \.format, .choice("log format"), "The form of a line"),
        ])
}

extension ValueShape where Value == AccessLog.Destination {
    static let logDestination = text(
        "none, stdout or a path",
        .string("none, stdout or the path of a file", examples: ["stdout", "/var/log/aegis/access.log"]),
        parse: { (text) throws(ValueFault) in
            guard !text.isEmpty, !text.utf8.contains(0) else { throw ValueFault("expected none, stdout or a path") }
            switch text {
            case "none": return .none
            case "stdout": return .standardOutput
            default: return .file(text)
            }
        },
        format: { destination in
            switch destination {
            case .none: "none"
            case .standardOutput: "stdout"
            case .file(let path): path
            }
        })
}

extension ValueShape where Value == Int {
    /// The size of a request's body; 0 stands for no bound.
    static let bodySize = byteSize(in: 0...(1 << 50))
}
