import PeerNames

/// How the gateway verifies a host's `https://` upstreams, and which certificate it shows them.
package struct UpstreamTLS: Sendable, Hashable {
    /// The name of the identity whose certificate the gateway shows to upstreams; nil if it shows none.
    package var identity: String?
    /// A PEM file of certificates that upstreams' certificates must chain to: roots, issuing CAs, or the upstreams' own
    /// certificates. Nil: the identity's CAs if it has any, else the system's. A relative path is relative to the
    /// configuration file.
    package var caFile: String?
    /// The host name or address that the gateway sends as SNI and that the certificate must have; nil for the
    /// upstream's own name.
    package var serverName: String?
    /// Patterns for SANs. A certificate must have a SAN that matches one of them, besides the server name. Nil: the
    /// identity's patterns, if its CAs are used.
    package var requiredSANs: [PeerNamePattern]?

    package init() {}

    /// What upstreams' certificates must satisfy. `identity` is the identity named here; nil if none is named.
    ///
    /// The identity's requirements go with its CAs. They don't apply to upstreams that are verified by `caFile`.
    package func requirements(of identity: NamedIdentity?) -> PeerRequirements {
        var requirements = usesAuthorities(of: identity) ? identity?.peers ?? PeerRequirements() : PeerRequirements()
        if let requiredSANs { requirements.requiredSANs = requiredSANs }
        return requirements
    }

    /// Whether upstreams are verified by the identity's CAs.
    package func usesAuthorities(of identity: NamedIdentity?) -> Bool {
        caFile == nil && identity?.hasAuthorities == true
    }

    static let shape = ObjectShape<UpstreamTLS>(
        "upstream TLS", "How the gateway and https:// upstreams prove their identity to each other",
        initial: UpstreamTLS(),
        fields: [
            .optional("identity", \.identity, .name, "The identity to show to upstreams"),
            .optional(
                "ca_file", \.caFile, .path,
                "The certificates to trust for upstreams, in PEM: roots, issuing CAs or the upstreams' own; else the "
                    + "identity's CAs, else the system's"),
            .optional(
                "server_name", \.serverName, .serverName,
                "The server name to send and to verify; left out: the upstream's own"),
            .optional(
                "required_sans", \.requiredSANs, .peerNamePatterns,
                "SANs of which an upstream's certificate must have one, too; left out: those of the identity, if its "
                    + "CAs are used"),
        ])
}

extension ValueShape where Value == String {
    /// The shape of a server name: a host name, or an address without brackets.
    fileprivate static let serverName = text(
        "the name of a server", .string("A host name or an IP address", examples: ["app.internal"]),
        parse: { (text) throws(ValueFault) in
            if let address = IPAddress(text) { return address.text }
            let parsed = try HostPort.parse(text)
            guard case .name(let name) = parsed.host, parsed.port == nil, !name.hasPrefix("*") else {
                throw ValueFault(
                    "bad server name \(text.quotedForMessage)", hint: "write a host name without port and wildcard")
            }
            return name
        },
        format: { $0 })
}
