import ConfigModel
import Issuers
import Reconciler
import State

extension OwnedItems {
    /// Creates a host from `settings`, which are written as in the file. If the host refers to a new certificate,
    /// `certificate` is stored in the same commit.
    package func createHost(_ settings: PlainValue, with certificate: StoredCertificate? = nil) throws -> Change {
        let host = try check(settings, former: nil, with: certificate)
        return put(host, with: certificate, besides: [])
    }

    /// Replaces the settings of a host by `settings`, which are written as in the file. The domain must stay the same.
    package func changeHost(
        _ name: String, to settings: PlainValue, with certificate: StoredCertificate? = nil
    ) throws -> Change {
        let former = try ownedHost(name)
        let host = try check(settings, former: former, with: certificate)
        guard host.domain.text == name else {
            throw OperationFailure(
                .invalid, "a host keeps its domain", hint: "create another host, and delete this one",
                faults: [OperationFailure.Fault(at: "/domain", "can't change")])
        }
        let changed = Self.changedSettings(former, host)
        guard !changed.isEmpty || certificate != nil else {
            return Change(item: ItemID(.host, name), mutations: [])
        }
        let losesOwn = former.sslMode == .letsencrypt && host.sslMode != .letsencrypt
        var change = put(host, with: certificate, besides: losesOwn ? try deletionOfOwn(name) : [])
        change.details["changed"] = changed.joined(separator: ", ")
        return change
    }

    /// The names of the settings that differ. Values may be secret.
    private static func changedSettings(_ former: Host, _ host: Host) -> [String] {
        let (before, after) = (former.record(.exact), host.record(.exact))
        guard case .object(let former) = before, case .object(let entries) = after else { return [] }
        let gone = former.filter { after[$0.key] == nil }
        return (entries.filter { before[$0.key] != $0.value } + gone).map(\.key)
    }

    /// Deletes a host, and the certificate that was made for it.
    package func deleteHost(_ name: String) throws -> Change {
        _ = try ownedHost(name)
        let id = ItemID(.host, name)
        return Change(item: id, mutations: [.deleteItem(id)] + (try deletionOfOwn(name)))
    }

    /// A host that the API may change. Throws an OperationFailure if there is none, or if the file declares it.
    package func ownedHost(_ name: String) throws -> Host {
        let id = ItemID(.host, name)
        guard let item = try store.item(id) else {
            throw OperationFailure(.missing, "there is no host with this domain")
        }
        try refuseFileOwned(id, item.owner)
        guard let host = Host(record: item.record) else {
            throw OperationFailure(.notPossible, "the host's record can't be read", hint: "delete it")
        }
        return host
    }

    private func put(_ host: Host, with certificate: StoredCertificate?, besides: [StateMutation]) -> Change {
        let id = ItemID(.host, host.domain.text)
        let stored = certificate.map { [StateMutation.putCertificate($0)] } ?? []
        return Change(
            item: id, mutations: stored + [.putItem(id, owner: .api, record: host.record(.compact).json())] + besides)
    }

    /// The mutation that deletes the certificate made for a host of the API; none if there is no such certificate. It
    /// has the host's name and owner.
    private func deletionOfOwn(_ name: String) throws -> [StateMutation] {
        guard let own = try store.certificate(named: name), own.owner == .api,
            HostCertificate(record: own.record) != nil
        else { return [] }
        return [.deleteItem(ItemID(.certificate, name))]
    }

    // MARK: Rules

    /// Reads and checks a host. `former` is the host that it replaces; nil for a new one.
    private func check(_ settings: PlainValue, former: Host?, with certificate: StoredCertificate?) throws -> Host {
        let record = settings.json()
        let faults = try file(of: settings, record, with: certificate).faults()
        let claims = try claims(on: Self.names(in: settings), former: former?.domain.text)
        guard faults.isEmpty, let host = Host(record: record) else {
            throw OperationFailure(
                .invalid, "the host breaks rules",
                faults: faults.map { fault in
                    OperationFailure.Fault(
                        at: fault.section == .hosts ? fault.pointer : "",
                        fault.hint.map { "\(fault.message); \($0)" } ?? fault.message)
                } + claims)
        }
        guard claims.isEmpty else {
            throw OperationFailure(.nameTaken, "another host has a name of this one", faults: claims)
        }
        try refuseUncovered(host, with: certificate)
        try refuseUnknownFiles(of: host, former: former)
        return host
    }

    /// The names of a host that can be read, with their JSON pointers.
    private static func names(in settings: PlainValue) -> [(pointer: String, name: DomainName)] {
        var texts = [(pointer: "/domain", value: settings["domain"])]
        if case .list(let aliases)? = settings["aliases"] {
            texts += aliases.enumerated().map { ("/aliases/\($0.offset)", $0.element) }
        }
        return texts.compactMap { pointer, value in
            guard case .string(let text)? = value else { return nil }
            return (try? DomainName.parse(text)).map { (pointer, $0) }
        }
    }

    /// A file with the host and the items that it may refer to, so that the file's rules can be checked.
    private func file(
        of settings: PlainValue, _ record: [UInt8], with certificate: StoredCertificate?
    ) throws -> ItemFile {
        var file = ItemFile()
        let sections: [(ItemKind, ItemFile.Section)] = [
            (.identity, .identities), (.vault, .vaults), (.issuer, .issuers),
        ]
        for (kind, section) in sections {
            for (name, item) in try store.items(of: kind) { file.add(item.record, named: name, to: section) }
        }
        // Two certificates matter: the one that the host refers to, and one whose name is the host's domain. The latter
        // would have the name of the certificate that is made for the host.
        var names: Set<String> = []
        for key in ["certificate", "domain"] {
            if case .string(let name)? = settings[key] { names.insert(name) }
        }
        for name in names.sorted() {
            let named = certificate?.name == name ? certificate : try store.certificate(named: name)
            guard let named, NamedCertificate(record: named.record) != nil else { continue }
            file.add(named.record, named: name, to: .certificates)
        }
        file.add(record, named: "", to: .hosts)
        return file
    }

    /// The faults of names that other hosts have. Names are one space, whoever owns the hosts.
    private func claims(
        on names: [(pointer: String, name: DomainName)], former: String?
    ) throws -> [OperationFailure.Fault] {
        var owners: [String: (host: String, owner: StoredItem.Owner)] = [:]
        for (name, item) in try store.hosts(named: names.map(\.name.text)) where name != former {
            owners[name] = (name, item.owner)
            for alias in Host(record: item.record)?.aliases ?? [] { owners[alias.text] = (name, item.owner) }
        }
        return names.compactMap { pointer, name in
            owners[name.text].map { owner in
                OperationFailure.Fault(
                    at: pointer, "'\(name.text)' is claimed by host '\(owner.host)', which \(owner.owner.words)")
            }
        }
    }

    /// Refuses a host that refers to an uploaded certificate without all of the host's names. The file's rules can't
    /// check this, since they don't know the names of uploaded certificates, which are in the state.
    private func refuseUncovered(_ host: Host, with certificate: StoredCertificate?) throws {
        guard let name = host.certificate else { return }
        let named = certificate?.name == name ? certificate : try store.certificate(named: name)
        guard let facts = named?.facts, facts.source == .custom, !facts.covers(host.names) else { return }
        let uncovered = host.names.filter { !facts.covers([$0]) }
        throw OperationFailure(
            .invalid, "the host breaks rules",
            faults: [
                OperationFailure.Fault(at: "/certificate", "it \(OwnCertificate.misses(uncovered, facts.domains))")
            ])
    }
}

extension StoredItem.Owner {
    /// Continues a text such as "host 'x', which …".
    fileprivate var words: String {
        switch self {
        case .file: "the file declares"
        case .api: "the admin API owns"
        }
    }
}
