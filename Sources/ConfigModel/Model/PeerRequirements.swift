import PeerNames

/// What certificates of peers must be like, besides what always holds.
package struct PeerRequirements: Sendable, Equatable {
    /// Whether a certificate must chain to one of the CAs. If not, anybody can make one: for testing alone.
    package var verifiesChain = true
    /// The patterns of which one must match a SAN of the certificate; empty allows any SAN.
    package var requiredSANs: [PeerNamePattern] = []
    /// Whether expired certificates are accepted: for testing and migration.
    package var allowsExpired = false

    package init() {}

    /// The keys that set requirements, for each source of identities.
    static func fields<Root: Sendable>(
        _ verifiesChain: WritableKeyPath<Root, Bool> & Sendable,
        _ requiredSANs: WritableKeyPath<Root, [PeerNamePattern]> & Sendable,
        _ allowsExpired: WritableKeyPath<Root, Bool> & Sendable
    ) -> [Field<Root>] {
        [
            .defaulted(
                "verify_chain", verifiesChain, .flag,
                "Whether a peer's certificate must come from one of the CAs; false is for testing alone"),
            .defaulted(
                "required_sans", requiredSANs, .peerNamePatterns,
                "SANs of which a peer's certificate must have one; left out: any"),
            .defaulted(
                "allow_expired", allowsExpired, .flag,
                "Whether expired certificates of peers are accepted: for testing and migration"),
        ]
    }
}
