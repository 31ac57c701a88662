import ConfigModel
import State

/// Compares the file with the items that the admin API owns. File and API share one space of names, and the rules of
/// the file apply to the items of both together.
extension Planner {
    /// The conflicts between the file and the API's items, with places in the file where possible. Empty if the file
    /// can be applied.
    func conflicts() -> [Diagnostic] {
        let owned = snapshot.items.filter { $0.value.owner == .api }
        guard !owned.isEmpty else { return [] }
        return taken(owned) + claims(owned) + broken(owned)
    }

    /// Errors for hosts of the file whose own certificates would replace certificates of the API.
    private func taken(_ owned: [ItemID: StoredItem]) -> [Diagnostic] {
        guard owned.keys.contains(where: { $0.kind == .certificate }) else { return [] }
        return configuration.hosts.indices.compactMap { index in
            let id = ItemID(.certificate, configuration.hosts[index].domain.text)
            guard configuration.hosts[index].sslMode == .letsencrypt, let item = owned[id], id.canRead(item.record)
            else { return nil }
            return .error(
                at: configuration.hosts[index].origin,
                "certificate '\(id.name)', which the admin API owns, has the name of the one made for this host",
                hint: "delete it there, and store it under another name")
        }
    }

    /// The change of an item of the API that the file declares too. It is always planned, so that the owner never
    /// changes unnoticed. A certificate is issued or read again only if that would also happen to an item of the file.
    func adoption(of item: DeclaredItem, _ stored: StoredItem?) -> Change? {
        guard let stored else { return nil }
        if let digest = item.sourceDigest, digest == stored.certificate?.sourceDigest {
            return Change(
                action: .adopt, item: item.id, exists: true,
                fields: difference(stored.record, configuration.value(of: item)), declared: item)
        }
        return change(for: item, stored)
            ?? Change(action: .adopt, item: item.id, exists: true, fields: [], declared: item)
    }

    /// Makes the changes of the API's items adoptions, with a reason that says how a certificate is replaced.
    func markAdoptions(_ changes: inout [Change]) {
        for index in changes.indices where snapshot.items[changes[index].item]?.owner == .api {
            var clauses = ["the admin API owns it so far"]
            if ![.update, .adopt].contains(changes[index].action) {
                changes[index].replacement = changes[index].action
                clauses.append("it is \(changes[index].action.past)")
            }
            changes[index].action = .adopt
            changes[index].reason = (clauses + [changes[index].reason].compactMap(\.self)).joined(separator: "; ")
        }
    }

    /// Errors for names that both a host of the file and another host of the API have.
    private func claims(_ owned: [ItemID: StoredItem]) -> [Diagnostic] {
        var owners: [String: String] = [:]
        for (id, item) in owned where id.kind == .host {
            for name in Host(record: item.record)?.names ?? [] { owners[name.text] = id.name }
        }
        guard !owners.isEmpty else { return [] }
        var found: [Diagnostic] = []
        for index in configuration.hosts.indices {
            let domain = configuration.hosts[index].domain.text
            // A host with the same domain is transferred to the file, so it is no conflict.
            for name in configuration.hosts[index].names {
                guard let owner = owners[name.text], owner != domain else { continue }
                found.append(
                    .error(
                        at: configuration.hosts[index].origin,
                        "'\(name.text)' is claimed by host '\(owner)', which the admin API owns",
                        hint: "take it out of one of the two hosts"))
            }
        }
        return found
    }

    /// Errors for items of the API that break a rule in combination with the file, such as a host whose certificate
    /// loses its names.
    private func broken(_ owned: [ItemID: StoredItem]) -> [Diagnostic] {
        var file = ItemFile()
        var known: Set<ItemID> = []
        func add(_ id: ItemID, _ record: [UInt8]) -> Bool {
            guard let section = id.kind.section, known.insert(id).inserted else { return false }
            file.add(record, named: id.name, to: section)
            return true
        }
        configuration.forEachItemBeforeHosts(materials: [:]) { item in
            // A host's own certificate follows from the host, so no section of the file declares it.
            if case .hostCertificate = item.place { return }
            _ = add(item.id, configuration.record(of: item))
        }
        // `add` skips an item that the file declares too, since it is transferred to the file.
        let judged = owned.sorted { $0.key < $1.key }
            .filter { $0.key.canRead($0.value.record) && add($0.key, $0.value.record) }.map(\.key)
        for id in itemsInUse(by: snapshot.items).sorted() {
            if let record = snapshot.items[id]?.record, id.canRead(record) { _ = add(id, record) }
        }
        return file.faults().compactMap { fault in
            guard let kind = fault.section?.kind, judged.contains(ItemID(kind, fault.name)) else { return nil }
            return .error(
                at: .none,
                "\(kind.rawValue) '\(fault.name)', which the admin API owns, would be faulty: \(fault.message)",
                hint: "put back what it needs, or change it by the admin API")
        }
    }
}

extension ItemKind {
    /// The section of `ItemFile` for hosts, or for a kind of items that a host may depend on; nil for other kinds.
    fileprivate var section: ItemFile.Section? {
        switch self {
        case .identity: .identities
        case .vault: .vaults
        case .issuer: .issuers
        case .certificate: .certificates
        case .host: .hosts
        case .gateway, .node, .alerts, .edgeCertificate: nil
        }
    }
}

extension ItemFile.Section {
    fileprivate var kind: ItemKind {
        switch self {
        case .identities: .identity
        case .vaults: .vault
        case .issuers: .issuer
        case .certificates: .certificate
        case .edgeCertificates: .edgeCertificate
        case .hosts: .host
        }
    }
}

extension ItemID {
    /// Whether the record can be read as an entry of a section of the file. This is false for the record of a host's
    /// own certificate.
    fileprivate func canRead(_ record: [UInt8]) -> Bool {
        switch kind {
        case .host: Host(record: record) != nil
        case .certificate: NamedCertificate(record: record) != nil
        case .identity: NamedIdentity(record: record) != nil
        case .vault: VaultServer(record: record) != nil
        case .issuer: Issuer(record: record) != nil
        case .gateway, .node, .alerts, .edgeCertificate: false
        }
    }
}
