/// A site that the gateway serves.
package struct Host: Sendable, Equatable {
    /// The way to choose an upstream for a request.
    package enum Balance: String, ChoiceValue {
        /// The upstreams in turn.
        case roundRobin = "round_robin"
        /// The upstream with the fewest requests under way.
        case leastConnections = "least_conn"
        /// Always the same upstream for the same client address.
        case ipHash = "ip_hash"
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
        /// TLS 1.2 (RFC 5246).
        case v1_2 = "1.2"
        /// TLS 1.3 (RFC 8446).
        case v1_3 = "1.3"
    }

    /// The host's place in the file.
    package var origin = SourceOrigin.none
    /// The host's main name.
    package var domain = DomainName(wireForm: "")
    /// The host's other names.
    package var aliases: [DomainName] = []
    /// Whether the gateway serves the host.
    package var enabled = true
    /// The servers that the host's requests are passed on to.
    package var upstreams: [Upstream] = []
    /// A PEM file of CAs that `https://` upstreams' certificates must come from; nil: the system's CAs. A relative path
    /// is relative to the configuration file.
    package var caFile: String?
    /// An answer that the gateway gives itself, instead of an upstream.
    package var respond: FixedResponse?
    /// The way to choose an upstream for a request.
    package var balance = Balance.roundRobin
    /// How the gateway checks upstreams; nil: it only watches their answers.
    package var healthCheck: HealthCheck?
    package var sslMode = SSLMode.none
    /// The ACME issuers, tried in order; empty: the one named `letsencrypt`.
    package var issuers: [String] = []
    /// The name of the certificate, with `custom`.
    package var certificate: String?
    /// Whether plain HTTP is redirected to HTTPS.
    package var forceHTTPS = false
    /// The HSTS policy (RFC 6797); nil: none.
    package var hsts: HSTS?
    /// The lowest TLS version that the host accepts.
    package var tlsMinVersion = TLSVersion.v1_2
    /// Changes to header fields on the way to upstreams and back.
    package var headers = HeaderRules()
    /// Whether upstreams get the client's Host header, instead of their own name.
    package var preserveHost = true
    /// The protocols besides WebSocket that a connection may change to (RFC 9110 section 7.8), in lower case.
    package var upgrade: [String] = []
    package var timeouts = UpstreamTimeouts()
    /// The most bytes in a request's body; 0: no bound; nil: the gateway's bound.
    package var bodyBytes: Int?

    /// The settings of health checks, which send requests to upstreams for no particular host.
    package static var forHealthChecks: Host { Host() }

    /// The host's domain and aliases.
    package var names: [DomainName] { [domain] + aliases }

    /// The name in the state of the certificate to serve the host with; nil for the fallback.
    package var certificateName: String? { sslMode == .letsencrypt ? domain.text : certificate }

    /// The names of the host's ACME issuers; empty unless `ssl_mode` is `letsencrypt`.
    package var effectiveIssuers: [String] {
        guard sslMode == .letsencrypt else { return [] }
        return issuers.isEmpty ? [Self.defaultIssuer] : issuers
    }

    static let defaultIssuer = "letsencrypt"
}

package struct FixedResponse: Sendable, Equatable {
    package var status = 200
    package var body = ""
}

/// How the gateway checks upstreams.
package struct HealthCheck: Sendable, Equatable {
    /// The path to ask for. Any answer from 200 to 399 is healthy.
    package var path = "/"
    /// The time from one check to the next.
    package var interval = Duration.seconds(10)
    /// The longest time until an upstream answers a check.
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
}

/// Header fields to set and to remove.
package struct HeaderRules: Sendable, Equatable {
    /// The changes for one direction. Fields are removed before others are set.
    package struct Changes: Sendable, Equatable {
        /// Fields to set. Each replaces all fields of its name.
        package var set: [HeaderSetting] = []
        /// Names of fields to remove.
        package var remove: [String] = []

        /// The most bytes that the fields to set may have together, as they are sent.
        package static let maximumBytes = 32 << 10
        /// The bytes of the fields to set, as they are sent.
        package var setBytes: Int { self.set.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 4 } }
    }

    /// Changes on the way to the upstream.
    package var request = Changes()
    /// Changes on the way to the client.
    package var response = Changes()
}

/// The longest times that the gateway waits for upstreams.
package struct UpstreamTimeouts: Sendable, Equatable {
    /// Until the upstream accepts a connection, including the TLS handshake.
    package var connect = Duration.seconds(5)
    /// Until an answer begins, and between two pieces of it.
    package var read = Duration.seconds(60)
    /// Until the upstream takes at least a part of the bytes sent to it.
    package var write = Duration.seconds(60)
    /// Between two pieces of a tunnel such as a WebSocket, in either direction.
    package var tunnel = Duration.seconds(3600)
}
