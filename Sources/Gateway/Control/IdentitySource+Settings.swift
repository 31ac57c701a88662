import ConfigModel
import Materials

extension NamedIdentity {
    /// Where the identity is read from; nil for a source that the gateway can't read. `machine` is this machine's name.
    func materials(of node: NodeSettings?, machine: String) -> IdentitySource? {
        switch source {
        case .files(let files):
            .files(
                certificate: files.certificateFile, key: files.keyFile, authorities: files.authoritiesFile)
        case .environment(let variables):
            .variables(
                certificate: variables.certificateVariable, key: variables.keyVariable,
                authorities: variables.authoritiesVariable)
        case .development(let development):
            .development(
                directory: development.directory, nodeID: node?.id ?? machine, addressHost: node?.address?.host)
        case .vault: nil
        }
    }

    /// What the settings accept that is not safe, each as the predicate of the identity.
    var laxities: [String] {
        [
            peers.verifiesChain ? nil : "accepts certificates of peers that anybody can make (verify_chain: false)",
            peers.allowsExpired ? "accepts expired certificates of peers (allow_expired: true)" : nil,
        ].compactMap(\.self)
    }
}
