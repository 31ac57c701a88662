import PeerNames

/// What peers' certificates must satisfy besides the rules that can't be turned off.
package struct PeerRequirements: Sendable, Equatable {
    /// Whether a certificate must chain to one of the CAs. Without this anybody can make an accepted certificate, so
    /// false is for testing only.
    package var verifiesChain = true
    /// Patterns for SANs. A certificate must have a SAN that matches one of them. If empty, any SAN is accepted.
    package var requiredSANs: [PeerNamePattern] = []
    /// Whether expired certificates are accepted: for testing and migration.
    package var allowsExpired = false

    package init() {}

    /// The fields of the requirements, which every source of identities has.
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
