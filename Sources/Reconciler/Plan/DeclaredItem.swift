import ConfigModel
import State

/// An item that the file declares.
struct DeclaredItem: Sendable, Equatable {
    /// The place of the item's value in the configuration. Most cases are indices, since very many items are visited
    /// and few of their values are needed.
    enum Place: Sendable, Equatable {
        case gateway
        case vault(Int)
        case identity(Int)
        case issuer(Int)
        case node(NodeSettings)
        case alerts(AlertSettings)
        case certificate(Int)
        /// The certificate of the host at this index.
        case hostCertificate(Int)
        case edgeCertificate(Int)
        case host(Int)
    }

    let id: ItemID
    let place: Place
    /// The action if the state does not have the item.
    let creation: Action
    /// The action if the state has another version of the item.
    let replacement: Action
    /// Whether the certificate may be issued now. False for a disabled host: its stored certificate stays, but is not
    /// reissued.
    var isWanted = true
    /// Why the item's content is only known after the apply; nil when it is known.
    var unknown: String?
    /// The digest of the text of an operator's own certificate; nil for other items.
    var sourceDigest: [UInt8]?
}

extension Configuration {
    /// Calls `visit` for each item of the file, after the items that it depends on.
    func forEachItem(materials: [String: CertificateMaterial], _ visit: (DeclaredItem) -> Void) {
        forEachItemBeforeHosts(materials: materials, visit)
        for index in hosts.indices { visit(declaredHost(index)) }
    }

    /// The host at an index. Hosts depend on other items, and nothing depends on them.
    func declaredHost(_ index: Int) -> DeclaredItem { plain(ItemID(.host, hosts[index].domain.text), .host(index)) }

    /// Calls `visit` for each item except hosts, after the items that it depends on.
    func forEachItemBeforeHosts(materials: [String: CertificateMaterial], _ visit: (DeclaredItem) -> Void) {
        visit(plain(ItemID(single: .gateway), .gateway))
        for index in vaults.indices { visit(plain(ItemID(.vault, vaults[index].name), .vault(index))) }
        for index in identities.indices { visit(plain(ItemID(.identity, identities[index].name), .identity(index))) }
        for index in issuers.indices { visit(plain(ItemID(.issuer, issuers[index].name), .issuer(index))) }
        if let node { visit(plain(ItemID(single: .node), .node(node))) }
        if let alerts { visit(plain(ItemID(single: .alerts), .alerts(alerts))) }
        for index in certificates.indices { visit(declaredCertificate(index, materials)) }
        for index in hosts.indices where hosts[index].sslMode == .letsencrypt {
            visit(
                DeclaredItem(
                    id: ItemID(.certificate, hosts[index].domain.text), place: .hostCertificate(index),
                    creation: .issue, replacement: .issue, isWanted: hosts[index].enabled))
        }
        for index in edgeCertificates.indices {
            visit(
                DeclaredItem(
                    id: ItemID(.edgeCertificate, edgeCertificates[index].displayName), place: .edgeCertificate(index),
                    creation: .order, replacement: .order))
        }
    }

    private func plain(_ id: ItemID, _ place: DeclaredItem.Place) -> DeclaredItem {
        DeclaredItem(id: id, place: place, creation: .create, replacement: .update)
    }

    /// The value that this configuration has for an item.
    func value(of item: DeclaredItem) -> any Recorded {
        switch item.place {
        case .gateway: gateway
        case .vault(let index): vaults[index]
        case .identity(let index): identities[index]
        case .issuer(let index): issuers[index]
        case .node(let node): node
        case .alerts(let alerts): alerts
        case .certificate(let index): certificates[index]
        case .hostCertificate(let index): HostCertificate(for: hosts[index])
        case .edgeCertificate(let index): edgeCertificates[index]
        case .host(let index): hosts[index]
        }
    }

    /// The issuers that a certificate may come from, by name; empty for other items and for certificates that are not
    /// issued.
    func issuers(of item: DeclaredItem) -> [String] {
        switch item.place {
        case .hostCertificate(let index): return hosts[index].effectiveIssuers
        case .certificate(let index):
            if case .issued(let issued) = certificates[index].source { return [issued.issuer] }
            return []
        default: return []
        }
    }

    /// The secrets in an item's settings, both inline secrets and references.
    func secrets(of item: DeclaredItem) -> [Secret] {
        switch item.place {
        case .vault(let index): vaults[index].secrets
        case .issuer(let index): issuers[index].secrets
        case .alerts(let alerts): alerts.secrets
        case .edgeCertificate(let index): [edgeCertificates[index].apiToken]
        case .gateway, .identity, .node, .certificate, .hostCertificate, .host: []
        }
    }

    /// Whether the change orders a certificate from this issuer, and from no other.
    fileprivate func asks(_ issuer: String, _ change: Change) -> Bool {
        guard change.item.kind == .certificate, [.issue, .renew].contains(change.work), let item = change.declared
        else { return false }
        return issuers(of: item) == [issuer]
    }

    /// Whether the change only removes names from a certificate that is in force.
    func onlyLosesNames(_ change: Change) -> Bool {
        guard let facts = change.former?.certificate, let names = change.declared.map(names), !names.isEmpty else {
            return false
        }
        return Set(names).isStrictSubset(of: facts.domains)
    }

    /// The names to issue a certificate for; empty for other items.
    func names(of item: DeclaredItem) -> [String] {
        switch item.place {
        case .hostCertificate(let index): return hosts[index].names.map(\.text)
        case .certificate(let index):
            guard case .issued(let issued) = certificates[index].source else { return [] }
            return issued.domains.map(\.text)
        default: return []
        }
    }

    /// Whether the change needs no other server: it is for an operator's own certificate, or for a certificate from the
    /// local CA.
    func isMadeHere(_ change: Change) -> Bool {
        guard case .certificate(let index)? = change.declared?.place else { return false }
        switch certificates[index].source {
        case .custom: return true
        case .issued(let issued):
            return issuers.contains { $0.name == issued.issuer && type(of: $0.provider).isLocal }
        }
    }

    /// The compact record of an item, as the state stores it.
    func record(of item: DeclaredItem) -> [UInt8] {
        // `value(of:)` would copy each host into an existential box, which is slow for very many hosts.
        if case .host(let index) = item.place { return hosts[index].record(.compact).json() }
        return value(of: item).record(.compact).json()
    }

    private func declaredCertificate(_ index: Int, _ materials: [String: CertificateMaterial]) -> DeclaredItem {
        let certificate = certificates[index]
        let id = ItemID(.certificate, certificate.name)
        switch certificate.source {
        case .issued:
            return DeclaredItem(id: id, place: .certificate(index), creation: .issue, replacement: .issue)
        case .custom:
            var item = DeclaredItem(id: id, place: .certificate(index), creation: .upload, replacement: .upload)
            switch materials[certificate.name] {
            case .unreadable(let reason): item.unknown = reason
            case .readable(let digest): item.sourceDigest = digest
            case nil: break
            }
            return item
        }
    }
}

extension Plan {
    /// Whether the plan orders a certificate from this issuer, and from no other.
    package func needsIssuer(_ name: String, of configuration: Configuration) -> Bool {
        changes.contains { configuration.asks(name, $0) }
    }

    /// Whether the plan has this issuer revoke a certificate.
    package func revokes(by name: String) -> Bool {
        changes.contains { if case .revoke(let issuer)? = $0.retirement { issuer.name == name } else { false } }
    }
}

/// The result of reading a custom certificate's PEM texts.
package enum CertificateMaterial: Sendable {
    /// The texts of the certificate and of the key can be read. `digest` is the digest of the certificate's text.
    case readable(digest: [UInt8])
    /// A text can't be read on this machine, for the given reason. This is usual on a machine that only plans, since it
    /// has no keys.
    case unreadable(String)
}
