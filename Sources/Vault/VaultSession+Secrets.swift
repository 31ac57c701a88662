import PKI
import Remote

extension VaultSession {
    /// Finds the newest version of a secret, which is cheaper than reading the secret. `unknown` means that only
    /// reading shows whether it has changed.
    package func version(of place: VaultSecretPlace) throws(VaultError) -> VaultSecretVersion {
        guard try engine(of: place) == .versioned else { return .unknown }
        let call = VaultCall(
            method: .get, path: try VaultPath(place.mount, "metadata", place.path),
            action: "tell the version of \(place.name)", mayBeMissing: true)
        do throws(VaultError) {
            let reply = try send(call)
            guard reply.status != 404 else { return .absent }
            let facts = try reply.read(VaultSecretFacts.self, for: call.action).data
            guard let facts else { throw reply.malformed("'data' is missing", for: call.action) }
            return facts.version(now: client.now())
        } catch  where error.kind == .denied {
            return .unknown
        }
    }

    /// Reads a secret. Throws an error of the kind `missing` if it was deleted or destroyed, or does not exist.
    package func secret(at place: VaultSecretPlace) throws(VaultError) -> VaultSecretContent {
        let isVersioned = try engine(of: place) == .versioned
        let path = try isVersioned ? VaultPath(place.mount, "data", place.path) : VaultPath(place.mount, place.path)
        let call = VaultCall(method: .get, path: path, action: "read \(place.name)", mayBeMissing: true)
        let reply = try send(call)
        let members: [String: VaultMember]?
        var facts: VaultVersionFacts?
        if isVersioned {
            let secret = try read(VaultVersionedSecret.self, of: reply, call)
            (members, facts) = (secret?.data, secret?.metadata)
        } else {
            members = try read([String: VaultMember].self, of: reply, call)
        }
        guard reply.status != 404, let members else { throw missing(place, facts) }
        func member(_ name: String) throws(VaultError) -> SecretBytes {
            guard let text = members[name]?.text else {
                let reason = members[name] == nil ? "has no '\(name)'" : "has a '\(name)' that is no text"
                throw VaultError(
                    .refused, "Vault's secret \(place.name) \(reason.oneLine(limit: 200))",
                    hint: "which of its members are certificate, key and CAs is said by 'cert', 'key' and 'ca'")
            }
            return text.bytes
        }
        return try VaultSecretContent(
            certificate: member(place.certificate), key: member(place.key),
            authorities: place.authorities.map { (name) throws(VaultError) in try member(name) },
            version: facts?.version)
    }

    /// Reads an answer. Returns nil for a 404 in the form of Vault's errors.
    private func read<Content: Decodable>(
        _ type: Content.Type, of reply: VaultReply, _ call: VaultCall
    ) throws(VaultError) -> Content? {
        guard reply.status == 404 else { return try reply.read(type, for: call.action).data }
        return try? reply.read(type, for: call.action).data
    }

    private func missing(_ place: VaultSecretPlace, _ facts: VaultVersionFacts?) -> VaultError {
        let state = facts.map { $0.state(of: $0.version ?? 0, now: client.now()) } ?? .absent
        let (words, hint): (String, String) =
            switch state {
            case .deleted(let version):
                ("version \(version) was deleted", "undelete it, or write a new version")
            case .destroyed(let version): ("version \(version) was destroyed", "write a new version")
            default: ("there is none", "are mount and path right?")
            }
        return VaultError(
            .missing(state), "Vault's secret \(place.name) can't be read: \(words)", hint: hint, status: 404)
    }

    private func engine(of place: VaultSecretPlace) throws(VaultError) -> VaultEngine {
        try engine(place.mount) { () throws(VaultError) in
            let call = VaultCall(
                method: .get, path: try VaultPath("sys/internal/ui/mounts", place.mount, place.path),
                action: "tell what '\(place.mount.oneLine(limit: 100))' is")
            let reply = try send(call)
            guard let facts = try reply.read(VaultMountFacts.self, for: call.action).data else {
                throw reply.malformed("'data' is missing", for: call.action)
            }
            guard let engine = facts.engine else {
                throw VaultError(
                    .settings,
                    "Vault's mount '\(place.mount.oneLine(limit: 100))' is of the kind '\(facts.type.oneLine(limit: 60))', not kv",
                    hint: "is the mount right?")
            }
            return engine
        }
    }
}
