import ConfigModel
import State

/// An item that the file asks for.
struct DeclaredItem: Sendable, Equatable {
    /// Where its value stands in the configuration: very many are visited, and few are copied.
    enum Place: Sendable, Equatable {
        case gateway
        case issuer(Int)
        case certificate(Int)
        /// The certificate that is made for a host.
        case hostCertificate(Int)
        case edgeCertificate(Int)
        case host(Int)
    }

    let id: ItemID
    let place: Place
    /// What is done when the state does not have it, and when it has another.
    let creation: Action
    let replacement: Action
    /// Whether it is to be issued now; what is not wanted now is kept if it is there.
    var isWanted = true
    /// Whether its content is known only when it is applied, and why.
    var unknown: String?
    /// For the operator's own certificates: a digest of what they are read from.
    var sourceDigest: [UInt8]?
}

extension Configuration {
    /// Calls `visit` with everything the file asks for, in the order of dependence.
    func forEachItem(materials: [String: CertificateMaterial], _ visit: (DeclaredItem) -> Void) {
        forEachItemBeforeHosts(materials: materials, visit)
        for index in hosts.indices { visit(declaredHost(index)) }
    }

    /// The host at an index: hosts depend on all else, and nothing on them.
    func declaredHost(_ index: Int) -> DeclaredItem { plain(ItemID(.host, hosts[index].domain.text), .host(index)) }

    /// Calls `visit` with everything but the hosts, in the order of dependence.
    func forEachItemBeforeHosts(materials: [String: CertificateMaterial], _ visit: (DeclaredItem) -> Void) {
        visit(plain(ItemID(.gateway, "gateway"), .gateway))
        for index in issuers.indices { visit(plain(ItemID(.issuer, issuers[index].name), .issuer(index))) }
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

    /// The value of an item that this configuration declares.
    func value(of item: DeclaredItem) -> any Recorded {
        switch item.place {
        case .gateway: gateway
        case .issuer(let index): issuers[index]
        case .certificate(let index): certificates[index]
        case .hostCertificate(let index): HostCertificate(for: hosts[index])
        case .edgeCertificate(let index): edgeCertificates[index]
        case .host(let index): hosts[index]
        }
    }

    /// The issuers that a certificate may come from, by name; none for what is no certificate of an issuer.
    func issuers(of item: DeclaredItem) -> [String] {
        switch item.place {
        case .hostCertificate(let index): return hosts[index].effectiveIssuers
        case .certificate(let index):
            if case .issued(let issued) = certificates[index].source { return [issued.issuer] }
            return []
        case .gateway, .issuer, .edgeCertificate, .host: return []
        }
    }

    /// Whether a change has a certificate issued that can come from one issuer alone.
    fileprivate func asks(_ issuer: String, _ change: Change) -> Bool {
        guard change.item.kind == .certificate, [.issue, .renew].contains(change.action), let item = change.declared
        else { return false }
        return issuers(of: item) == [issuer]
    }

    /// Whether a change is to a certificate that is in force for all names that it is to have, and for others.
    func onlyLosesNames(_ change: Change) -> Bool {
        guard let facts = change.former?.certificate, let names = change.declared.map(names), !names.isEmpty else {
            return false
        }
        return Set(names).isStrictSubset(of: facts.domains)
    }

    /// The names that a certificate is to be issued for; none for what is not issued.
    func names(of item: DeclaredItem) -> [String] {
        switch item.place {
        case .hostCertificate(let index): return hosts[index].names.map(\.text)
        case .certificate(let index):
            guard case .issued(let issued) = certificates[index].source else { return [] }
            return issued.domains.map(\.text)
        case .gateway, .issuer, .edgeCertificate, .host: return []
        }
    }

    /// Whether what a change brings needs nobody else: an operator's own certificate, or one of the local CA.
    func isMadeHere(_ change: Change) -> Bool {
        guard case .certificate(let index)? = change.declared?.place else { return false }
        switch certificates[index].source {
        case .custom: return true
        case .issued(let issued): return issuers.contains { $0.name == issued.issuer && $0.kind == .localCA }
        }
    }

    /// The compact record of an item that this configuration declares, as the state keeps it.
    func record(of item: DeclaredItem) -> [UInt8] {
        // Not by way of `value`, which would copy each of very many hosts into a box.
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
    /// Whether a certificate of this plan can come from an issuer alone.
    package func needsIssuer(_ name: String, of configuration: Configuration) -> Bool {
        changes.contains { configuration.asks(name, $0) }
    }
}

/// What could be learnt of a custom certificate's PEM texts where the plan is made.
package enum CertificateMaterial: Sendable {
    /// They are there; the certificate's text has this digest.
    case readable(digest: [UInt8])
    /// One can't be read here, for this reason; a pull request's machine has no keys.
    case unreadable(String)
}
