extension Host {
    /// The keys that a host of the file may have.
    package static var keys: [String] { shape.keys }

    static let shape = ObjectShape<Host>(
        "a host", "A site that the gateway serves", initial: Host(), place: { $0.origin = $1 },
        fields: [
            .required("domain", \.domain, .domain, "Its name; *. in front stands for one label"),
            .defaulted("aliases", \.aliases, .list(of: .domain, atMost: 1000, "names"), "Other names of it"),
            .defaulted("enabled", \.enabled, .flag, "Whether it is served at all"),
            .defaulted(
                "upstreams", \.upstreams, .list(of: .upstream, atMost: 1000, "upstreams"),
                "The servers to pass its requests to"),
            .optional(
                "upstream_tls", \.upstreamTLS, UpstreamTLS.shape.shape,
                "How the gateway and https:// upstreams prove their identity to each other"),
            .defaulted(
                "upstream_protocol", \.upstreamProtocol, .choice("upstream_protocol"),
                "The version of HTTP to upstreams; auto: h2 for h2c:// and for gRPC over https://, else http1"),
            .formerCAFile("ca_file"),
            .optional(
                "respond", \.respond, FixedResponse.shape.shape,
                "An answer that the gateway gives itself, in place of upstreams"),
            .defaulted("balance", \.balance, .choice("way of balancing"), "Which upstream gets a request"),
            .optional("health_check", \.healthCheck, HealthCheck.shape.shape, "How upstreams are watched"),
            .defaulted(
                "ssl_mode", \.sslMode, .choice("ssl_mode"),
                "Where its certificate comes from: none is managed, an ACME issuer's, or one of 'certificates'"),
            .issuer("issuer", \.issuers),
            .defaulted(
                "issuers", \.issuers, .list(of: .name, allowsEmpty: false, atMost: 10, "issuers"),
                "ACME issuers to try in order"),
            .optional("certificate", \.certificate, .name, "The certificate's name, with ssl_mode: custom"),
            .defaulted("force_https", \.forceHTTPS, .flag, "Whether plain HTTP is redirected to HTTPS"),
            .optional("hsts", \.hsts, HSTS.shape.shape, "HTTP Strict Transport Security (RFC 6797)"),
            .defaulted("tls_min_version", \.tlsMinVersion, .tlsVersion, "The lowest version of TLS that it speaks"),
            .optional(
                "protocols", \.protocols, .list(of: .choice("protocol"), allowsEmpty: false, atMost: 2, "protocols"),
                "The versions of HTTP that its clients may choose over TLS; left out: the gateway's"),
            .optional(
                "client_auth", \.clientAuth, ClientAuthSettings.shape.shape,
                "The certificates that its clients are asked for (mutual TLS)"),
            .defaulted(
                "headers", \.headers, HeaderRules.shape.shape, "Headers changed on the way to upstreams and back"),
            .defaulted(
                "preserve_host", \.preserveHost, .flag,
                "Whether upstreams get the client's Host header, not their own name"),
            .defaulted(
                "upgrade", \.upgrade, .list(of: .upgradeProtocol, atMost: 10, "protocols"),
                "Protocols beside websocket that clients may change to"),
            .defaulted("timeouts", \.timeouts, UpstreamTimeouts.shape.shape, "How long upstreams may take"),
            .nested(
                "limits", "Limits of this host",
                ObjectShape(
                    "a host's limits", "Limits of this host", initial: Host(),
                    fields: [
                        .optional(
                            "body_bytes", \.bodyBytes, .bodySize,
                            "Size of a request's body; 0: no bound; left out: the gateway's")
                    ])),
        ])
}

extension FixedResponse {
    static let shape = ObjectShape<FixedResponse>(
        "a response", "An answer that the gateway gives itself", initial: FixedResponse(),
        fields: [
            .defaulted("status", \.status, .integer(in: 200...599), "The status code"),
            .defaulted("body", \.body, .string("a text", lengths: 0...1_048_576), "The body"),
        ])
}

extension HealthCheck {
    static let shape = ObjectShape<HealthCheck>(
        "a health check", "How upstreams are watched", initial: HealthCheck(),
        fields: [
            .defaulted("path", \.path, .requestPath, "The path to request; any status from 200 to 399 is healthy"),
            .optional(
                "grpc_service", \.grpcService, .string("the name of a service", lengths: 0...253),
                "A service of gRPC to ask for by its health protocol, in place of a path; \"\": the whole server"),
            .defaulted(
                "interval", \.interval, .duration(in: .milliseconds(100) ... .seconds(86_400)),
                "From one check to the next"),
            .defaulted("timeout", \.timeout, .timeout, "How long an answer may take"),
        ])
}

extension HSTS {
    static let shape = ObjectShape<HSTS>(
        "an HSTS policy", "HTTP Strict Transport Security (RFC 6797)", initial: HSTS(),
        fields: [
            .defaulted("enabled", \.enabled, .flag, "Whether the header is sent"),
            .defaulted(
                "max_age", \.maxAge, .integer(in: 0...3_153_600_000), "How long browsers follow it, in seconds"),
            .defaulted("include_subdomains", \.includeSubdomains, .flag, "Whether it holds for all subdomains too"),
            .defaulted(
                "preload", \.preload, .flag,
                "Whether browsers may include it in their preload lists; needs a max_age of a year and include_subdomains"
            ),
        ])
}

extension HeaderRules {
    static let shape = ObjectShape<HeaderRules>(
        "headers", "Headers changed on the way to upstreams and back", initial: HeaderRules(),
        fields: [
            .defaulted("request", \.request, changes.shape, "On the way to the upstream"),
            .defaulted("response", \.response, changes.shape, "On the way to the client"),
        ])

    private static let changes = ObjectShape<Changes>(
        "header changes", "Headers to set and to remove", initial: Changes(),
        fields: [
            .defaulted("set", \.set, .headerSettings, "Fields to set in place of any of that name"),
            .defaulted("remove", \.remove, .headerNames, "Names of fields to remove"),
        ])
}

extension UpstreamTimeouts {
    static let shape = ObjectShape<UpstreamTimeouts>(
        "timeouts", "How long upstreams may take", initial: UpstreamTimeouts(),
        fields: [
            .defaulted("connect", \.connect, .timeout, "To accept a connection, with TLS"),
            .defaulted(
                "read", \.read, .timeout, "To send the whole head of an answer, and between two pieces of its body"),
            .defaulted("write", \.write, .timeout, "To receive more of the request's body"),
            .defaulted(
                "tunnel", \.tunnel, .timeout, "Between two pieces that pass a WebSocket, in either direction"),
        ])
}

extension ValueShape where Value == String {
    /// A request's path in the form in which it is sent: visible ASCII that begins with '/'.
    static let requestPath = string(
        "a path that begins with '/'", pattern: "^/", examples: ["/healthz"],
        check: { (text) throws(ValueFault) in
            guard text.hasPrefix("/"), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                throw ValueFault(
                    "bad path \(text.quotedForMessage)",
                    hint: "it begins with '/' and has no spaces; encode others as %XX")
            }
        })
}

extension ValueShape where Value == Host.TLSVersion {
    /// The shape of a TLS version, 1.2 or 1.3. Older versions are refused with a message of their own.
    static let tlsVersion = ValueShape(
        schema: choice("TLS version").schema,
        read: { node, reader in
            let text = reader.scalarText(of: node)
            reader.show(node)
            if ["1", "1.0", "1.1", "TLSv1", "TLSv1.0", "TLSv1.1", "SSLv3"].contains(text) {
                reader.fail(node, "TLS below 1.2 is not offered", hint: "write \"1.2\" or \"1.3\"")
                return nil
            }
            return choice("TLS version").read(node, &reader)
        },
        write: { version, _ in .string(version.rawValue) })
}

extension Field where Root == Host {
    /// The field `issuer: x`, short for `issuers: [x]`.
    fileprivate static func issuer(_ key: String, _ path: WritableKeyPath<Host, [String]> & Sendable) -> Field {
        .alternative(
            key,
            ValueShape<String>.name.schema.adding([
                ("description", .string("Which ACME issuer; left out: the one named letsencrypt"))
            ]),
            read: { node, host, reader in
                guard let name = ValueShape<String>.name.read(node, &reader) else { return false }
                host[keyPath: path] = [name]
                return true
            })
    }

    /// The field `ca_file: x`, the former place of `upstream_tls: { ca_file: x }`. Records of earlier states have it.
    fileprivate static func formerCAFile(_ key: String) -> Field {
        .alternative(
            key,
            ValueShape<String>.path.schema.adding([
                ("description", .string("Write upstream_tls: { ca_file: … }")), ("deprecated", .bool(true)),
            ]),
            read: { node, host, reader in
                guard let path = ValueShape<String>.path.read(node, &reader) else { return false }
                reader.warn(
                    node, "'ca_file' of a host has moved to 'upstream_tls'", hint: "write upstream_tls: { ca_file: … }")
                var settings = host.upstreamTLS ?? UpstreamTLS()
                settings.caFile = path
                host.upstreamTLS = settings
                return true
            })
    }
}
