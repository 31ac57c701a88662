/// A site that the gateway serves.
package struct Host: Sendable, Equatable {
    /// Who answers its requests.
    package enum Balance: String, ChoiceValue {
        /// One upstream after the other.
        case roundRobin = "round_robin"
        /// The upstream with the fewest requests under way.
        case leastConnections = "least_conn"
        /// The same upstream for a client's address.
        case ipHash = "ip_hash"
    }

    /// Where its certificate comes from.
    package enum SSLMode: String, ChoiceValue {
        /// None is managed: over TLS it is served with the fallback certificate.
        case none
        /// An ACME issuer.
        case letsencrypt
        /// A certificate of the file's `certificates`.
        case custom
    }

    /// The lowest version of TLS that it speaks.
    package enum TLSVersion: String, ChoiceValue {
        /// TLS 1.2 (RFC 5246).
        case v1_2 = "1.2"
        /// TLS 1.3 (RFC 8446).
        case v1_3 = "1.3"
    }

    /// Where it was written.
    package var origin = SourceOrigin.none
    /// Its name.
    package var domain = DomainName(wireForm: "")
    /// Other names of it.
    package var aliases: [DomainName] = []
    /// Whether it is served at all.
    package var enabled = true
    /// Who its requests are passed on to.
    package var upstreams: [Upstream] = []
    /// CAs in PEM that `https://` upstreams' certificates must come from; nil: the system's. Relative to the file.
    package var caFile: String?
    /// An answer that the gateway gives itself, in place of upstreams.
    package var respond: FixedResponse?
    /// Which upstream gets a request.
    package var balance = Balance.roundRobin
    /// How upstreams are watched; nil: only by their answers.
    package var healthCheck: HealthCheck?
    /// Where its certificate comes from.
    package var sslMode = SSLMode.none
    /// ACME issuers to try in order; empty: the one named `letsencrypt`.
    package var issuers: [String] = []
    /// The certificate's name, with `custom`.
    package var certificate: String?
    /// Whether plain HTTP is redirected to HTTPS.
    package var forceHTTPS = false
    /// The HSTS policy (RFC 6797); nil: none.
    package var hsts: HSTS?
    /// The lowest version of TLS that it speaks.
    package var tlsMinVersion = TLSVersion.v1_2
    /// Headers changed on the way to upstreams and back.
    package var headers = HeaderRules()
    /// Whether upstreams get the client's Host header, not their own name.
    package var preserveHost = true
    /// The protocols beside WebSockets that a client may change to (RFC 9110 section 7.8), in lower case.
    package var upgrade: [String] = []
    /// How long upstreams may take.
    package var timeouts = UpstreamTimeouts()
    /// The largest body of a request in bytes; 0: no bound; nil: the gateway's.
    package var bodyBytes: Int?

    /// A host that only health checks of its upstreams are made for.
    package static var forHealthChecks: Host { Host() }

    /// Its domain and aliases.
    package var names: [DomainName] { [domain] + aliases }

    /// The certificate that it is to be served with, by its name in the state; nil for the fallback.
    package var certificateName: String? { sslMode == .letsencrypt ? domain.text : certificate }

    /// The ACME issuers it uses, by name; none unless `ssl_mode` is `letsencrypt`.
    package var effectiveIssuers: [String] {
        guard sslMode == .letsencrypt else { return [] }
        return issuers.isEmpty ? [Self.defaultIssuer] : issuers
    }

    static let defaultIssuer = "letsencrypt"
}

/// An answer that the gateway gives itself.
package struct FixedResponse: Sendable, Equatable {
    /// The status code.
    package var status = 200
    /// The body.
    package var body = ""
}

/// How upstreams are watched.
package struct HealthCheck: Sendable, Equatable {
    /// What is asked for; any answer from 200 to 399 is healthy.
    package var path = "/"
    /// From one check to the next.
    package var interval = Duration.seconds(10)
    /// How long an answer may take.
    package var timeout = Duration.seconds(5)
}

/// HTTP Strict Transport Security (RFC 6797).
package struct HSTS: Sendable, Equatable {
    /// What browsers ask for before they put a site on their preload list (hstspreload.org), in seconds.
    static let minPreloadMaxAge = 31_536_000

    /// Whether the header is sent.
    package var enabled = true
    /// How long browsers keep to it, in seconds.
    package var maxAge = 31_536_000
    /// Whether it holds for all subdomains too.
    package var includeSubdomains = false
    /// Whether browsers may build it in.
    package var preload = false
}

/// Headers to set and to remove.
package struct HeaderRules: Sendable, Equatable {
    /// One direction's changes; removing comes first.
    package struct Changes: Sendable, Equatable {
        /// Fields to set in place of any of that name.
        package var set: [HeaderField] = []
        /// Names of fields to take away.
        package var remove: [String] = []

        /// How many bytes the fields to set may have together, as they are sent.
        package static let maximumBytes = 32 << 10
        /// How many bytes the fields to set have.
        package var setBytes: Int { self.set.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 4 } }
    }

    /// On the way to the upstream.
    package var request = Changes()
    /// On the way to the client.
    package var response = Changes()
}

/// How long upstreams may take.
package struct UpstreamTimeouts: Sendable, Equatable {
    /// To accept a connection, with TLS.
    package var connect = Duration.seconds(5)
    /// To begin an answer, and between two pieces of it.
    package var read = Duration.seconds(60)
    /// To take what it was sent, or a part of it.
    package var write = Duration.seconds(60)
    /// Between two pieces that pass a tunnel, such as a WebSocket, in either direction.
    package var tunnel = Duration.seconds(3600)
}
