/// How the gateway listens, limits and logs.
package struct GatewaySettings: Sendable, Equatable {
    /// The addresses that accept plain HTTP.
    package var http = [ListenAddress(address: nil, port: 8080)]
    /// The addresses that accept HTTPS.
    package var https = [ListenAddress(address: nil, port: 8443)]
    package var admin = AdminListener()
    /// The versions of HTTP that clients may choose over TLS.
    package var protocols = [HTTPProtocol.http2, .http11]
    /// The directory of the local CA's files, relative to the configuration file. `AEGIS_SSL_CACHE_DIR` takes
    /// precedence.
    package var cacheDirectory = ".cache/ssl"
    /// The proxies that the gateway trusts to name the client (`clientAddress`), and to say by other fields, such as
    /// `X-Forwarded-Proto`, how the client sent the request.
    package var trustedProxies: [NetworkBlock] = []
    package var clientAddress = ClientAddressField.xForwardedFor
    package var limits = GatewayLimits()
    package var accessLog = AccessLog()
    /// The number of worker threads; nil: one for each core.
    package var workers: Int?

    package init() {}

    static let shape = ObjectShape<GatewaySettings>(
        "a gateway", "How the gateway listens, limits and logs", initial: GatewaySettings(),
        fields: [
            .defaulted(
                "http", \.http, .list(of: .listenAddress, atMost: 100, "addresses"),
                "The addresses to listen at for plain HTTP"),
            .defaulted(
                "https", \.https, .list(of: .listenAddress, atMost: 100, "addresses"),
                "The addresses to listen at for HTTPS"),
            .defaulted(
                "protocols", \.protocols, .list(of: .choice("protocol"), allowsEmpty: false, atMost: 2, "protocols"),
                "The versions of HTTP that clients may choose over TLS; http/1.1 is always among them"),
            .defaulted(
                "admin", \.admin, AdminListener.shape,
                "The address of health checks, metrics and the admin API, and what the API may do"),
            .defaulted(
                "cache_dir", \.cacheDirectory, .path,
                "The directory of the local CA's files, relative to this file; AEGIS_SSL_CACHE_DIR wins"),
            .defaulted(
                "trusted_proxies", \.trustedProxies, .list(of: .networkBlock, atMost: 1000, "address ranges"),
                "The proxies whose client_address header is believed"),
            .defaulted(
                "client_address", \.clientAddress, .choice("client address field"),
                "The one field in which trusted_proxies name the client; the others are not believed"),
            .defaulted("limits", \.limits, GatewayLimits.shape.shape, "Limits for clients and their requests"),
            .defaulted("access_log", \.accessLog, AccessLog.shape.shape, "Where requests are logged"),
            .optional("workers", \.workers, .integer(in: 1...1024), "How many threads serve; left out: one a core"),
        ])
}

/// The header field in which trusted proxies name the client. The gateway believes this field only: a proxy that writes
/// one field passes the others on as the client sent them.
package enum ClientAddressField: String, ChoiceValue {
    /// A list to which each proxy appends the address of its peer. Most proxies write this field.
    case xForwardedFor = "x-forwarded-for"
    /// A list to which each proxy appends the address of its peer and more details, such as the protocol (RFC 7239).
    case forwarded
    /// A field with one address. The proxy overwrites what the client sent in this field.
    case xRealIP = "x-real-ip"
    /// A field with one address, which Cloudflare writes.
    case cfConnectingIP = "cf-connecting-ip"
}

/// Bounds on what clients may send and how long they may take.
package struct GatewayLimits: Sendable, Equatable {
    /// The most bytes in a request's line and header fields together.
    package var headerBytes = 32 * 1024
    /// The most header fields in a request. Each part of a Cookie, between semicolons, counts as one.
    package var headerFields = 1000
    /// The most bytes in a request's body; 0: no bound. A host's own bound takes precedence.
    package var bodyBytes = 10 * 1024 * 1024
    /// How many bytes of a request's body are collected before an upstream is chosen; 0: none.
    package var bodyBufferBytes = 64 * 1024
    /// The lowest rate of a body in bytes a second, after the first `bodyProgressTimeout`; 0: any rate.
    package var bodyMinRate = 240
    /// The longest time from accepting a connection to the end of the TLS handshake.
    package var handshakeTimeout = Duration.seconds(10)
    /// The longest time from a request's first byte to the end of its head.
    package var requestHeaderTimeout = Duration.seconds(10)
    /// The longest time between two pieces of a body, and the longest time that a body may arrive slower than
    /// `bodyMinRate`.
    package var bodyProgressTimeout = Duration.seconds(30)
    /// The longest time between two requests of a connection.
    package var idleTimeout = Duration.seconds(60)
    /// The most client connections at once.
    package var connections = 50_000
    /// The most connections at once from one client's address; 0: no limit for each client; nil: a quarter of all
    /// possible connections, at most 1000. Trusted proxies have no such limit.
    package var connectionsPerClient: Int?
    package var http2 = HTTP2()

    /// Limits for clients that speak HTTP/2.
    package struct HTTP2: Sendable, Equatable {
        /// The most requests of one connection at once.
        package var streams = 128
        /// How many streams a client may reset in a second on average. Four times as many may come at once.
        package var resetsPerSecond = 50
        /// How many frames without data a client may send in a second on average. Five times as many may come at once.
        package var controlFramesPerSecond = 200
        /// How many bytes of a request's body a client may send before the gateway has passed them on.
        package var window = 64 * 1024
        /// Like `window`, but for all requests of a connection together.
        package var connectionWindow = 1024 * 1024
    }

    package init() {}

    static let shape = ObjectShape<GatewayLimits>(
        "limits", "Limits for clients and their requests", initial: GatewayLimits(),
        fields: [
            .defaulted(
                "header_bytes", \.headerBytes, .byteSize(in: 1024...1_048_576),
                "Size of a request's line and header fields together"),
            .defaulted(
                "header_fields", \.headerFields, .integer(in: 16...10_000),
                "Header fields in a request; each cookie counts"),
            .defaulted("body_bytes", \.bodyBytes, .bodySize, "Size of a request's body; 0: no bound"),
            .defaulted(
                "body_buffer_bytes", \.bodyBufferBytes, .byteSize(in: 0...1_048_576),
                "How much of a request's body is collected before an upstream is chosen; 0: none"),
            .defaulted(
                "body_min_rate", \.bodyMinRate, .byteSize(in: 0...1_073_741_824),
                "The lowest rate of a body, for each second after the first body_progress_timeout; 0: none"),
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
                "Connections of one client's address at once; 0: no such limit; left out: a quarter of all that are "
                    + "possible, at most 1000. Trusted proxies have no such limit"),
            .defaulted("http2", \.http2, HTTP2.shape.shape, "Limits for clients that speak HTTP/2"),
        ])
}

extension GatewayLimits.HTTP2 {
    static let shape = ObjectShape<GatewayLimits.HTTP2>(
        "limits of HTTP/2", "Limits for clients that speak HTTP/2", initial: GatewayLimits.HTTP2(),
        fields: [
            .defaulted("streams", \.streams, .integer(in: 1...1000), "Requests of one connection at once"),
            .defaulted(
                "resets_per_second", \.resetsPerSecond, .integer(in: 1...100_000),
                "Streams that a client may reset in a second; four times as many at once"),
            .defaulted(
                "control_frames_per_second", \.controlFramesPerSecond, .integer(in: 1...100_000),
                "Frames without data that a client may send in a second; five times as many at once"),
            .defaulted(
                "window", \.window, .byteSize(in: 65_535...16_777_216),
                "How much of a request's body may be on its way"),
            .defaulted(
                "connection_window", \.connectionWindow, .byteSize(in: 65_535...268_435_456),
                "The same for all requests of a connection together"),
        ])
}

package struct AccessLog: Sendable, Equatable {
    package enum Destination: Sendable, Hashable {
        case none
        case standardOutput
        /// Lines go to this file; a relative path is relative to the configuration file.
        case file(String)
    }

    package enum Format: String, ChoiceValue {
        /// One JSON object on each line.
        case json
        /// The combined format of Apache and nginx, followed by the host.
        case combined
    }

    package var destination = Destination.none
    package var format = Format.json

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
    /// A limit for the size of a request's body; 0 means no limit.
    static let bodySize = byteSize(in: 0...(1 << 50))
}
