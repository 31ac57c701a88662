/// The Vault that the issuer names must be one of `vaults`.
extension VaultPKIIssuer {
    func check(_ issuer: Issuer, _ rules: inout Rules) {
        guard rules.vaults[vault] == nil, let node = issuer.origin.node else { return }
        let place = rules.reader.value(of: "vault", in: node)
        rules.reportUnknown("vault", vault, among: rules.configuration.vaults, in: "vaults", at: place)
    }
}
