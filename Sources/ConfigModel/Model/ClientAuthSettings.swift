import PeerNames

/// The certificates that a host asks its clients for.
package struct ClientAuthSettings: Sendable, Hashable {
    package enum Mode: String, ChoiceValue {
        /// A client without a good certificate is refused in the handshake.
        case require
        /// A client may have no certificate. One that it shows must be good all the same.
        case optional
    }

    /// What to do when a revocation list is past its next update.
    package enum OverdueList: String, ChoiceValue {
        /// Certificates of the list's CA are refused.
        case refuse
        /// The list is used as it is. What it revokes stays revoked.
        case accept
    }

    /// How the upstream learns of the client's certificate.
    package enum Forwarding: String, ChoiceValue {
        /// `Client-Cert` (RFC 9440). The chain is never sent, since a resumed session doesn't have it.
        case clientCert = "client_cert"
        /// `X-Forwarded-Client-Cert`, as Envoy writes it.
        case xfcc
        case none
    }

    /// The most revocation lists, which is what `PeerRules` of PKI accept.
    package static let maximumLists = 100

    package var mode = Mode.require
    /// A PEM file of CAs that clients' certificates must come from; nil: `identity` says.
    package var caFile: String?
    /// The name of the identity whose CAs and requirements hold; nil: `caFile` says.
    package var identity: String?
    /// Files of revocation lists, in PEM or DER.
    package var revocationLists: [String] = []
    package var overdueLists = OverdueList.refuse
    /// The patterns of which one must match a SAN; nil: the identity's hold.
    package var requiredSANs: [PeerNamePattern]?
    /// Whether expired certificates are accepted; nil: the identity says, else they are not.
    package var allowsExpired: Bool?
    package var forwarding = Forwarding.none

    /// What certificates of clients must be like. `identity` is the one that the section names; nil for none.
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
                "identity", \.identity, .name, "In place of ca_file: which of 'identities' has the CAs and requirements"
            ),
            .defaulted(
                "crl_files", \.revocationLists,
                .list(of: .path, atMost: maximumLists, "files"), "Files of revocation lists, in PEM or DER"),
            .defaulted(
                "crl_expired", \.overdueLists, .choice("choice"),
                "What becomes of a CA's certificates when its revocation list is past its next update"),
            .optional(
                "required_sans", \.requiredSANs, .peerNamePatterns,
                "SANs of which a client's certificate must have one; left out: those of the identity, else any"),
            .optional(
                "allow_expired", \.allowsExpired, .flag,
                "Whether expired certificates are accepted, for testing and migration; left out: as the identity says"),
            .defaulted(
                "forward", \.forwarding, .choice("way of forwarding"),
                "The headers that tell the upstream of the client's certificate"),
        ])
}
