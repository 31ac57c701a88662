/// A site that the gateway serves.
public struct Host: Sendable, Equatable {
    /// Who answers its requests.
    public enum Balance: String, ChoiceValue {
        /// One upstream after the other.
        case roundRobin = "round_robin"
        /// The upstream with the fewest requests under way.
        case leastConnections = "least_conn"
        /// The same upstream for a client's address.
        case ipHash = "ip_hash"
    }

    /// Where its certificate comes from.
    public enum SSLMode: String, ChoiceValue {
        /// None is managed: over TLS it is served with the fallback certificate.
        case none
        /// An ACME issuer.
        case letsencrypt
        /// A certificate of the file's `certificates`.
        case custom
    }

    /// The lowest version of TLS that it speaks.
    public enum TLSVersion: String, ChoiceValue {
        /// TLS 1.2 (RFC 5246).
        case v1_2 = "1.2"
        /// TLS 1.3 (RFC 8446).
        case v1_3 = "1.3"
    }

    /// Where it was written.
    public var origin = SourceOrigin.none
    /// Its name.
    public var domain = DomainName(wireForm: "")
    /// Other names of it.
    public var aliases: [DomainName] = []
    /// Whether it is served at all.
    public var enabled = true
    /// Who its requests are passed on to.
    public var upstreams: [Upstream] = []
    /// CAs in PEM that `https://` upstreams' certificates must come from; nil: the system's. Relative to the file.
    public var caFile: String?
    /// An answer that the gateway gives itself, in place of upstreams.
    public var respond: FixedResponse?
    /// Which upstream gets a request.
    public var balance = Balance.roundRobin
    /// How upstreams are watched; nil: only by their answers.
    public var healthCheck: HealthCheck?
    /// Where its certificate comes from.
    public var sslMode = SSLMode.none
    /// ACME issuers to try in order; empty: the one named `letsencrypt`.
    public var issuers: [String] = []
    /// The certificate's name, with `custom`.
    public var certificate: String?
    /// Whether plain HTTP is redirected to HTTPS.
    public var forceHTTPS = false
    /// The HSTS policy (RFC 6797); nil: none.
    public var hsts: HSTS?
    /// The lowest version of TLS that it speaks.
    public var tlsMinVersion = TLSVersion.v1_2
    /// Headers changed on the way to upstreams and back.
    public var headers = HeaderRules()
    /// Whether upstreams get the client's Host header, not their own name.
    public var preserveHost = true
    /// The protocols beside WebSockets that a client may change to (RFC 9110 section 7.8), in lower case.
    public var upgrade: [String] = []
    /// How long upstreams may take.
    public var timeouts = UpstreamTimeouts()
    /// The largest body of a request in bytes; 0: no bound; nil: the gateway's.
    public var bodyBytes: Int?

    /// A host that only health checks of its upstreams are made for.
    public static var forHealthChecks: Host { Host() }

    /// Its domain and aliases.
    public var names: [DomainName] { [domain] + aliases }

    /// The certificate that it is to be served with, by its name in the state; nil for the fallback.
    public var certificateName: String? { sslMode == .letsencrypt ? domain.text : certificate }

    /// The ACME issuers it uses, by name; none unless `ssl_mode` is `letsencrypt`.
    public var effectiveIssuers: [String] {
        guard sslMode == .letsencrypt else { return [] }
        return issuers.isEmpty ? [Self.defaultIssuer] : issuers
    }

    static let defaultIssuer = "letsencrypt"
}

/// An answer that the gateway gives itself.
public struct FixedResponse: Sendable, Equatable {
    /// The status code.
    public var status = 200
    /// The body.
    public var body = ""
}

/// How upstreams are watched.
public struct HealthCheck: Sendable, Equatable {
    /// What is asked for; any answer from 200 to 399 is healthy.
    public var path = "/"
    /// From one check to the next.
    public var interval = Duration.seconds(10)
    /// How long an answer may take.
    public var timeout = Duration.seconds(5)
}

/// HTTP Strict Transport Security (RFC 6797).
public struct HSTS: Sendable, Equatable {
    /// What browsers ask for before they put a site on their preload list (hstspreload.org), in seconds.
    static let minPreloadMaxAge = 31_536_000

    /// Whether the header is sent.
    public var enabled = true
    /// How long browsers keep to it, in seconds.
    public var maxAge = 31_536_000
    /// Whether it holds for all subdomains too.
    public var includeSubdomains = false
    /// Whether browsers may build it in.
    public var preload = false
}

/// Headers to set and to remove.
public struct HeaderRules: Sendable, Equatable {
    /// One direction's changes; removing comes first.
    public struct Changes: Sendable, Equatable {
        /// Fields to set in place of any of that name.
        public var set: [HeaderField] = []
        /// Names of fields to take away.
        public var remove: [String] = []

        /// How many bytes the fields to set may have together, as they are sent.
        public static let maximumBytes = 32 << 10
        /// How many bytes the fields to set have.
        public var setBytes: Int { self.set.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 4 } }
    }

    /// On the way to the upstream.
    public var request = Changes()
    /// On the way to the client.
    public var response = Changes()
}

/// How long upstreams may take.
public struct UpstreamTimeouts: Sendable, Equatable {
    /// To accept a connection, with TLS.
    public var connect = Duration.seconds(5)
    /// To begin an answer, and between two pieces of it.
    public var read = Duration.seconds(60)
    /// To take what it was sent, or a part of it.
    public var write = Duration.seconds(60)
    /// Between two pieces that pass a tunnel, such as a WebSocket, in either direction.
    public var tunnel = Duration.seconds(3600)
}
