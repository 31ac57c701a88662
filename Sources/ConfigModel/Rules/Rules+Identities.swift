import PeerNames

/// Rules for the node, identities, Vaults and alerts.
extension Rules {
    // MARK: The node

    mutating func checkNode() {
        guard let settings = configuration.node, let node = reader.value(of: "node", in: root) else { return }
        warnOfRepeats(settings.allowed.map(\.san), in: "allow", of: node, text: \.text)
        checkID(settings, node)
        guard let address = settings.address else { return checkWithoutListener(settings, node) }
        checkClash(of: address)
        if settings.allowed.isEmpty {
            report(
                .warning, "address", in: node, unlessFaulty: ["allow"], "no client may use the node listener",
                hint: "add allow: [{ san: …, scope: read }]")
        }
        guard let name = settings.identity else {
            return reportMissing(
                "identity", at: "address", in: node, unlessFaulty: [],
                "a node listener needs 'identity', to show its certificate and to verify clients",
                hint: suggestion(for: "", among: configuration.identities.map(\.name), in: "identities"))
        }
        let place = reader.value(of: "identity", in: node)
        guard let identity = identity(named: name, at: place) else { return }
        requireAuthorities(of: identity, at: place)
        // Without verify_chain anybody could make a certificate with a name that 'allow' lists.
        if !identity.peers.verifiesChain {
            report(
                .error, in: place, "the node listener needs verify_chain, which identity '\(name)' has turned off",
                hint: "set verify_chain: true on the identity", notes: [note("defined here", at: identity.origin)])
        }
    }

    /// Checks the node's ID if there is a development CA. Such a CA issues a certificate for the ID and stores it in
    /// files that have the ID as their name, so the ID must be a host name.
    private mutating func checkID(_ settings: NodeSettings, _ node: NodeID) {
        let development = configuration.identities.first {
            if case .development = $0.source { true } else { false }
        }
        guard let id = settings.id, let development else { return }
        let isTaken = id.lowercased() == "ca"
        guard isTaken || !Self.isHostName(id) else { return }
        report(
            .error, "id", in: node,
            isTaken
                ? "the node of a development CA can't be called '\(id)': its files would be the CA's"
                : "the node of a development CA needs an id that is a host name, which '\(id)' is not",
            hint: isTaken ? "give it another id" : "labels of 1 to 63 characters, with a '.' between two",
            notes: [note("the development CA is defined here", at: development.origin)])
    }

    /// Whether the labels of a name are short enough for a host name. The name has only letters, digits, '-', '_' and
    /// '.'.
    private static func isHostName(_ name: String) -> Bool {
        name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy {
            (1...63).contains($0.count)
        }
    }

    private mutating func checkWithoutListener(_ settings: NodeSettings, _ node: NodeID) {
        if !settings.allowed.isEmpty {
            report(
                .error, "allow", in: node, unlessFaulty: ["address"],
                "'allow' needs 'address': there is no node listener",
                hint: "add address: \"host:port\", or remove it")
        }
        guard let name = settings.identity else { return }
        report(
            .warning, "identity", in: node, unlessFaulty: ["address"],
            "'identity' has no effect without 'address': there is no node listener")
        _ = identity(named: name, at: reader.value(of: "identity", in: node))
    }

    private mutating func checkClash(of address: NodeAddress) {
        let gateway = configuration.gateway
        guard reader.value(of: "gateway", in: root).map({ !reader.isFaulty($0) }) ?? true else { return }
        let others =
            gateway.http.map { ("http", $0) } + gateway.https.map { ("https", $0) } + [("admin", gateway.admin.address)]
        guard let clash = others.first(where: { $0.1.clashes(with: address.listener) }) else { return }
        report(
            .error, "node", "address", in: root,
            "node address '\(address.text)' is taken by \(clash.0) address '\(clash.1.text)'")
    }

    // MARK: Identities

    /// The identity with this name. If there is none, reports the name as unknown and returns nil.
    mutating func identity(named name: String, at place: NodeID?) -> NamedIdentity? {
        if let identity = identities[name] { return identity }
        reportUnknown("identity", name, among: configuration.identities, in: "identities", at: place)
        return nil
    }

    /// Reports an identity that must verify clients by its CAs but has no CAs.
    mutating func requireAuthorities(of identity: NamedIdentity, at place: NodeID?) {
        guard !identity.hasAuthorities, identity.peers.verifiesChain, let owner = identity.origin.node,
            !reader.isFaulty(owner)
        else { return }
        report(
            .error, in: place, "identity '\(identity.name)' has no CAs to verify clients by",
            hint: identity.vaultName == nil ? "add ca_file to the identity" : "add ca to the identity's kv",
            notes: [note("defined here", at: identity.origin)])
    }

    mutating func checkIdentities() {
        for identity in configuration.identities {
            let node = identity.origin.node
            warnOfRepeats(identity.peers.requiredSANs, in: "required_sans", of: node, text: \.text)
            if identity.peers.allowsExpired {
                report(
                    .warning, "allow_expired", in: node,
                    "identity '\(identity.name)' accepts expired certificates of peers", hint: Self.laxityHint)
            }
            if !identity.peers.verifiesChain {
                report(
                    .warning, "verify_chain", in: node,
                    "identity '\(identity.name)' accepts certificates that anybody can make",
                    hint: "for testing alone: set verify_chain: true")
            }
            if case .vault(let settings) = identity.source { check(settings, identity) }
        }
    }

    /// The hint of the warning about `allow_expired`.
    static let laxityHint = "for testing and migration: set allow_expired: false afterwards"

    private mutating func check(_ settings: VaultIdentity, _ identity: NamedIdentity) {
        guard let node = identity.origin.node else { return }
        if vaults[settings.vault] == nil {
            let place = reader.value(of: "vault", in: node)
            reportUnknown("vault", settings.vault, among: configuration.vaults, in: "vaults", at: place)
        }
        if let issued = settings.issued {
            warnOfRepeats(issued.sans, in: "sans", of: reader.value(of: "pki", in: node), text: \.text)
        }
        switch (settings.issued, settings.secret) {
        case (nil, nil):
            reportMissing(
                "pki", at: "source", in: node, unlessFaulty: ["kv"],
                "identity '\(identity.name)' from a Vault needs 'pki' or 'kv'",
                hint: "pki: { role: …, common_name: … } or kv: { path: … }")
        case (.some, .some):
            report(.error, "kv", in: node, "an identity has pki or kv, not both", hint: "remove one of them")
        default: break
        }
    }

    // MARK: Vaults

    mutating func checkVaults() {
        var inCycles: Set<String> = []
        for vault in configuration.vaults {
            guard let name = vault.login.identity, let node = vault.origin.node else { continue }
            let login = reader.value(of: "auth", in: node)
            let place = login.flatMap { reader.value(of: "identity", in: $0) }
            guard identity(named: name, at: place) != nil, !inCycles.contains(vault.name) else { continue }
            let cycle = cycle(from: vault)
            guard !cycle.isEmpty else { continue }
            inCycles.formUnion(cycle)
            report(
                .error, in: place, "the login needs identity '\(name)', which can only be obtained after this login",
                hint: "log in by another method, or with an identity of source file or env")
        }
    }

    /// The names of the Vaults in a cycle that contains `vault`, in which each Vault's login needs an identity from the
    /// next Vault. Empty if there is no such cycle.
    private func cycle(from vault: VaultServer) -> [String] {
        var names = [vault.name]
        var current = vault
        while let next = current.login.identity.flatMap({ identities[$0]?.vaultName }).flatMap({ vaults[$0] }) {
            if next.name == vault.name { return names }
            // The cycle does not contain `vault`. It is reported when one of its own Vaults is checked.
            if names.contains(next.name) { return [] }
            names.append(next.name)
            current = next
        }
        return []
    }

    // MARK: Alerts

    mutating func checkAlerts() {
        guard let alerts = configuration.alerts else { return }
        warnOfRepeats(alerts.expiry, in: "expiry", of: reader.value(of: "alerts", in: root), text: TimeSpan.format)
    }
}
