import PeerNames

/// How the gateway and a host's `https://` upstreams show each other who they are.
package struct UpstreamTLS: Sendable, Hashable {
    /// The name of the identity whose certificate is shown to upstreams; nil: none is shown.
    package var identity: String?
    /// A PEM file of CAs that upstreams' certificates must come from: roots, issuing CAs or their own certificates. Nil:
    /// the identity's CAs if it has any, else the system's. A relative path is relative to the configuration file.
    package var caFile: String?
    /// The host name or address that is asked for and verified; nil: the upstream's own.
    package var serverName: String?
    /// The patterns of which one must match a SAN, besides the server's name; nil: the identity's hold, if its CAs do.
    package var requiredSANs: [PeerNamePattern]?

    package init() {}

    /// What certificates of upstreams must be like. `identity` is the one that the section names; nil for none.
    ///
    /// The identity's requirements belong to its CAs: they don't hold for upstreams that `caFile` says to trust.
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
        "upstream TLS", "How the gateway and https:// upstreams show each other who they are", initial: UpstreamTLS(),
        fields: [
            .optional("identity", \.identity, .name, "Which of 'identities' is shown to upstreams"),
            .optional(
                "ca_file", \.caFile, .path,
                "Trusted for upstreams, in PEM: roots, issuing CAs or their own certificates; else the identity's CAs, "
                    + "else the system's"),
            .optional(
                "server_name", \.serverName, .serverName,
                "The name or address that is asked for and verified; left out: the upstream's own"),
            .optional(
                "required_sans", \.requiredSANs, .peerNamePatterns,
                "SANs of which an upstream's certificate must have one, too; left out: those of the identity, if its "
                    + "CAs are used"),
        ])
}

extension ValueShape where Value == String {
    /// The shape of a server's name, or of its address without brackets.
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
