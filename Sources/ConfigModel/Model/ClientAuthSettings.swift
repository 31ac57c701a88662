import PeerNames

/// Which certificates a host requires of its clients.
package struct ClientAuthSettings: Sendable, Hashable {
    package enum Mode: String, ChoiceValue {
        /// A client without a valid certificate is refused in the handshake.
        case require
        /// A client may connect without a certificate. A certificate that it shows must be valid.
        case optional
    }

    /// What to do when a revocation list is past its next update.
    package enum OverdueList: String, ChoiceValue {
        /// Certificates of the list's CA are refused.
        case refuse
        /// The list is used although it is old. The certificates that it revokes stay revoked.
        case accept
    }

    /// The header field that describes the client's certificate to the upstream.
    package enum Forwarding: String, ChoiceValue {
        /// `Client-Cert` (RFC 9440). The chain is never sent, since a resumed session does not have it.
        case clientCert = "client_cert"
        /// `X-Forwarded-Client-Cert`, as Envoy writes it.
        case xfcc
        case none
    }

    /// The largest number of revocation lists. `PeerRules` of PKI accepts no more.
    package static let maximumLists = 100

    package var mode = Mode.require
    /// A PEM file of CAs that client certificates must come from; nil if the CAs of `identity` are used.
    package var caFile: String?
    /// The name of the identity whose CAs and requirements are used; nil if `caFile` is used.
    package var identity: String?
    /// Files of revocation lists, in PEM or DER.
    package var revocationLists: [String] = []
    package var overdueLists = OverdueList.refuse
    /// Patterns for SANs. A certificate must have a SAN that matches one of them. Nil: the identity's patterns.
    package var requiredSANs: [PeerNamePattern]?
    /// Whether expired certificates are accepted. Nil: as the identity says; false without an identity.
    package var allowsExpired: Bool?
    package var forwarding = Forwarding.none

    /// What client certificates must satisfy. `identity` is the identity named here; nil if none is named.
    package func requirements(of identity: NamedIdentity?) -> PeerRequirements {
        var requirements = identity?.peers ?? PeerRequirements()
        if let requiredSANs { requirements.requiredSANs = requiredSANs }
        if let allowsExpired { requirements.allowsExpired = allowsExpired }
        return requirements
    }

    static let shape = ObjectShape<ClientAuthSettings>(
        "client authentication", "The certificates that a host asks its clients for", initial: ClientAuthSettings(),
        fields: [
            .defaulted(
                "mode", \.mode, .choice("mode"),
                "Whether a client must have a certificate; one that it shows must be good in either mode"),
            .optional("ca_file", \.caFile, .path, "The CAs that clients' certificates must come from, in PEM"),
            .optional(
                "identity", \.identity, .name,
                "Instead of ca_file: the identity whose CAs and requirements apply to clients"
            ),
            .defaulted(
                "crl_files", \.revocationLists,
                .list(of: .path, atMost: maximumLists, "files"), "Files of revocation lists, in PEM or DER"),
            .defaulted(
                "crl_expired", \.overdueLists, .choice("choice"),
                "Whether certificates of a CA are refused when its revocation list is past its next update"),
            .optional(
                "required_sans", \.requiredSANs, .peerNamePatterns,
                "SANs of which a client's certificate must have one; left out: those of the identity, else any"),
            .optional(
                "allow_expired", \.allowsExpired, .flag,
                "Whether expired certificates are accepted, for testing and migration; left out: as the identity says"),
            .defaulted(
                "forward", \.forwarding, .choice("way of forwarding"),
                "The header in which the upstream gets the client's certificate"),
        ])
}
