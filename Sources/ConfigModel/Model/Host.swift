/// An entry of `hosts`: its names, its certificate, and how requests for these names are answered.
package struct Host: Sendable, Equatable {
    /// The way to choose an upstream for a request.
    package enum Balance: String, ChoiceValue {
        /// The gateway chooses each upstream in turn.
        case roundRobin = "round_robin"
        /// The gateway chooses the upstream with the fewest requests under way.
        case leastConnections = "least_conn"
        /// The gateway always chooses the same upstream for the same client address.
        case ipHash = "ip_hash"
    }

    /// The version of HTTP in which upstreams get requests.
    package enum UpstreamProtocol: String, ChoiceValue {
        /// HTTP/2 for `h2c://` upstreams, and for calls of gRPC to `https://` upstreams; else HTTP/1.1.
        case auto
        case http1
        /// HTTP/2 but for upgrades, such as WebSockets over HTTP/1.1.
        case http2 = "h2"
    }

    /// The source of the host's certificate.
    package enum SSLMode: String, ChoiceValue {
        /// No certificate of its own: over TLS the gateway shows the fallback certificate.
        case none
        /// A certificate from an ACME issuer.
        case letsencrypt
        /// A certificate from the file's `certificates`.
        case custom
    }

    /// The lowest TLS version that the host accepts.
    package enum TLSVersion: String, ChoiceValue {
        case v1_2 = "1.2"
        case v1_3 = "1.3"
    }

    /// The host's place in the file.
    package var origin = SourceOrigin.none
    package var domain = DomainName(wireForm: "")
    package var aliases: [DomainName] = []
    package var enabled = true
    package var upstreams: [Upstream] = []
    /// How the gateway verifies `https://` upstreams, and which certificate it shows them. Nil: the system's CAs, and
    /// no certificate.
    package var upstreamTLS: UpstreamTLS?
    package var upstreamProtocol = UpstreamProtocol.auto
    /// An answer that the gateway gives itself, instead of an upstream.
    package var respond: FixedResponse?
    package var balance = Balance.roundRobin
    /// How the gateway checks upstreams; nil: the gateway judges upstreams only by their answers to clients' requests.
    package var healthCheck: HealthCheck?
    package var sslMode = SSLMode.none
    /// The ACME issuers, tried in order; empty: the issuer named `letsencrypt`.
    package var issuers: [String] = []
    /// The name of an entry in `certificates`. It is used only when `sslMode` is `custom`.
    package var certificate: String?
    /// Whether plain HTTP is redirected to HTTPS.
    package var forceHTTPS = false
    /// The HSTS policy (RFC 6797); nil: none.
    package var hsts: HSTS?
    package var tlsMinVersion = TLSVersion.v1_2
    /// The versions of HTTP that clients may choose over TLS; nil: the gateway's.
    package var protocols: [HTTPProtocol]?
    /// Which certificates clients must show; nil if they are asked for none.
    package var clientAuth: ClientAuthSettings?
    /// Changes to header fields on the way to upstreams and back.
    package var headers = HeaderRules()
    /// Whether the gateway sends upstreams the client's Host header, instead of the upstream's own name.
    package var preserveHost = true
    /// The protocols besides WebSocket that a connection may change to (RFC 9110 section 7.8), in lower case.
    package var upgrade: [String] = []
    package var timeouts = UpstreamTimeouts()
    /// The most bytes in a request's body; 0: no bound; nil: the gateway's bound.
    package var bodyBytes: Int?

    /// The settings for health checks, whose requests belong to no particular host.
    package static var forHealthChecks: Host { Host() }

    package var names: [DomainName] { [domain] + aliases }

    /// The state's name for the certificate that the host is served with; nil for the fallback certificate.
    package var certificateName: String? { sslMode == .letsencrypt ? domain.text : certificate }

    /// The names of the host's ACME issuers; empty unless `ssl_mode` is `letsencrypt`.
    package var effectiveIssuers: [String] {
        guard sslMode == .letsencrypt else { return [] }
        return issuers.isEmpty ? [Self.defaultIssuer] : issuers
    }

    package static let defaultIssuer = "letsencrypt"
}

package struct FixedResponse: Sendable, Equatable {
    package var status = 200
    package var body = ""
}

/// How the gateway checks upstreams.
package struct HealthCheck: Sendable, Equatable {
    /// The path to ask for. Any answer from 200 to 399 is healthy.
    package var path = "/"
    /// The service of gRPC to ask for in place of a path (grpc.health.v1); empty: the server as a whole. Nil: a path is
    /// asked for.
    package var grpcService: String?
    package var interval = Duration.seconds(10)
    package var timeout = Duration.seconds(5)
}

/// HTTP Strict Transport Security (RFC 6797).
package struct HSTS: Sendable, Equatable {
    /// The least `maxAge`, in seconds, with which browsers accept a site for their preload list (hstspreload.org).
    static let minPreloadMaxAge = 31_536_000

    package var enabled = true
    /// How long browsers must use HTTPS only, in seconds.
    package var maxAge = 31_536_000
    /// Whether the policy applies to all subdomains too.
    package var includeSubdomains = false
    /// Whether browsers may put the site on their preload list.
    package var preload = false

    package init() {}
}

/// A host's changes to the header fields of messages, for each direction.
package struct HeaderRules: Sendable, Equatable {
    /// The changes for one direction. Fields are removed before others are set.
    package struct Changes: Sendable, Equatable {
        /// Fields to set. Each replaces all fields of its name.
        package var set: [HeaderSetting] = []
        package var remove: [String] = []

        /// The largest allowed value of `setBytes`.
        package static let maximumBytes = 32 << 10
        /// The size of the fields in `set` as they are sent, in bytes: name, colon, space, value and CRLF.
        package var setBytes: Int { self.set.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 4 } }
    }

    /// Changes on the way to the upstream.
    package var request = Changes()
    /// Changes on the way to the client.
    package var response = Changes()
}

/// The longest times that the gateway waits for upstreams.
package struct UpstreamTimeouts: Sendable, Equatable {
    /// The time until the upstream accepts a connection, including the TLS handshake.
    package var connect = Duration.seconds(5)
    /// The time until the whole head of a response has arrived, and then the time between two pieces of its body.
    package var read = Duration.seconds(60)
    /// The time in which the upstream must accept as many bytes of the request as `GatewayLimits.bodyMinRate` demands,
    /// and at least one.
    package var write = Duration.seconds(60)
    /// The time between two pieces of a tunnel such as a WebSocket, in either direction.
    package var tunnel = Duration.seconds(3600)
}
