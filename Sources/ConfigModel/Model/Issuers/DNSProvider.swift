/// How dns-01's TXT records are written, and how long Aegis waits until they are visible.
package struct DNSProvider: Sendable, Equatable {
    package enum Method: Sendable, Equatable {
        /// Dynamic updates to a name server (RFC 2136).
        case rfc2136(RFC2136)
        /// A call to a web service.
        case webhook(Webhook)
    }

    package struct RFC2136: Sendable, Equatable {
        /// The name server, as host and port.
        package var server = ""
        package var zone = ""
        /// The key that signs updates (TSIG, RFC 8945); nil: updates are not signed.
        package var tsig: TSIGKey?
        package var waiting = PropagationWait()
    }

    /// A web service that writes the records.
    package struct Webhook: Sendable, Equatable {
        package var url = ServiceURL("")
        /// The Bearer token for the service; nil: none.
        package var token: Secret?
        package var waiting = PropagationWait()
    }

    /// How Aegis waits until a record is visible, before it asks the CA to validate.
    package struct PropagationWait: Sendable, Equatable {
        /// The longest time to wait for one record.
        package var timeout = Duration.seconds(120)
        /// The resolvers that must see the record, as address:port; empty: the zone's own servers.
        package var resolvers: [String] = []
    }

    package var method: Method

    var secrets: [Secret] {
        switch method {
        case .rfc2136(let settings): [settings.tsig?.secret].compactMap(\.self)
        case .webhook(let settings): [settings.token].compactMap(\.self)
        }
    }

    static let shape = ValueShape<DNSProvider>.union(
        "a DNS provider", by: "provider",
        [
            UnionCase(
                "rfc2136",
                ObjectShape<RFC2136>(
                    "a name server", "Dynamic updates to a name server (RFC 2136)", initial: RFC2136(),
                    fields: [
                        .tag("provider", "rfc2136", "Dynamic updates to a name server"),
                        .required("server", \.server, .dnsServer, "The name server, as host:port"),
                        .required("zone", \.zone, .dnsName, "The zone to update"),
                        .optional("tsig", \.tsig, TSIGKey.shape.shape, "The key that signs updates"),
                    ] + waitingFields(\.waiting.timeout, \.waiting.resolvers)),
                wrap: { DNSProvider(method: .rfc2136($0)) },
                unwrap: { if case .rfc2136(let server) = $0.method { server } else { nil } }),
            UnionCase(
                "webhook",
                ObjectShape<Webhook>(
                    "a webhook", "A web service that writes the records", initial: Webhook(),
                    fields: [
                        .tag("provider", "webhook", "A web service that writes the records"),
                        .required("url", \.url, .webhookURL, "Its URL"),
                        .optional("token", \.token, .secret, "The Bearer token that it expects"),
                    ] + waitingFields(\.waiting.timeout, \.waiting.resolvers)),
                wrap: { DNSProvider(method: .webhook($0)) },
                unwrap: { if case .webhook(let hook) = $0.method { hook } else { nil } }),
        ])

    private static func waitingFields<Root: Sendable>(
        _ timeout: WritableKeyPath<Root, Duration> & Sendable,
        _ resolvers: WritableKeyPath<Root, [String]> & Sendable
    ) -> [Field<Root>] {
        [
            .defaulted(
                "propagation_timeout", timeout, .duration(in: .seconds(1) ... .seconds(3600)),
                "How long to wait until all resolvers return the new TXT record"),
            .defaulted(
                "resolvers", resolvers, .list(of: .dnsServer, "resolvers"),
                "The resolvers that must return the record; left out: the zone's own servers"),
        ]
    }
}

/// A key for signed DNS messages (RFC 8945).
package struct TSIGKey: Sendable, Equatable {
    /// The hash functions that common name servers support.
    package enum Algorithm: String, ChoiceValue {
        case sha256 = "hmac-sha256"
        case sha384 = "hmac-sha384"
        case sha512 = "hmac-sha512"
    }

    /// The key's name at the name server.
    package var name = ""
    package var algorithm = Algorithm.sha256
    /// The key in base64.
    package var secret = Secret(.inline(""))

    static let shape = ObjectShape<TSIGKey>(
        "a TSIG key", "The key that signs updates", initial: TSIGKey(),
        fields: [
            .required("name", \.name, .dnsName, "The key's name at the server"),
            .defaulted("algorithm", \.algorithm, .choice("algorithm"), "The hash function"),
            .required("secret", \.secret, .secret, "The key in base64"),
        ])
}

extension ValueShape where Value == String {
    /// The shape of a DNS name, which unlike a host name may contain '_'. A final dot is removed.
    static let dnsName = text(
        "a DNS name", .string("A name of the DNS", examples: ["example.com"]),
        parse: { (text) throws(ValueFault) in
            let name = text.hasSuffix(".") ? String(text.dropLast()) : text
            guard Name.isValid(name.replacing("_", with: "a")), name.utf8.count <= 253, !name.contains("..") else {
                throw ValueFault("bad DNS name \(text.quotedForMessage)")
            }
            return name.lowercased()
        },
        format: { $0 })

    /// The shape of a name server as host:port; port 53 is the default.
    static let dnsServer = text(
        "a server such as 127.0.0.1:53", .string("host:port; the port is 53 when left out", examples: ["127.0.0.1:53"]),
        parse: { (text) throws(ValueFault) in
            let parsed = try HostPort.parse(text)
            guard parsed.host != .any else { throw ValueFault("no host in \(text.quotedForMessage)") }
            return "\(parsed.hostText):\(parsed.port ?? 53)"
        },
        format: { $0 })
}
