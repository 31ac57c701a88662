import PKI
import Remote

/// Where a certificate with its key is in a KV mount.
package struct VaultSecretPlace: Sendable, Hashable {
    package let mount: String
    package let path: String
    /// The names of the secret's members. Nil if the secret has no CAs.
    package let certificate: String
    package let key: String
    package let authorities: String?

    package init(mount: String, path: String, certificate: String, key: String, authorities: String?) {
        (self.mount, self.path) = (mount, path)
        (self.certificate, self.key, self.authorities) = (certificate, key, authorities)
    }

    /// The place for messages.
    var name: String { "'\(mount.oneLine(limit: 100))/\(path.oneLine(limit: 200))'" }
}

/// The newest version of a secret, by its number.
package enum VaultSecretVersion: Sendable, Equatable {
    case present(Int64)
    /// It was deleted, and can be undeleted.
    case deleted(Int64)
    /// It was destroyed for good.
    case destroyed(Int64)
    /// There is no such secret, and none that was deleted.
    case absent
    /// The mount keeps no versions (KV version 1), or the token may not see them. Only the content shows a change.
    case unknown
}

/// What a secret has in it, in PEM.
package struct VaultSecretContent: Sendable {
    package let certificate: SecretBytes
    package let key: SecretBytes
    /// Nil if the place names no member for the CAs.
    package let authorities: SecretBytes?
    /// The version that was read. Nil if the mount keeps no versions.
    package let version: Int64?
}

/// The version of a KV mount.
enum VaultEngine: Sendable {
    case unversioned
    case versioned
}

/// The state of one version, in the metadata of KV version 2.
struct VaultVersionFacts: Decodable {
    @IfReadable var version: Int64?
    @IfReadable var deletedAt: String?
    @IfReadable var isDestroyed: Bool?

    private enum CodingKeys: String, CodingKey {
        case version
        case deletedAt = "deletion_time"
        case isDestroyed = "destroyed"
    }

    /// The version's state at `now`, in seconds since 1970. A time of deletion may lie ahead (`delete_version_after`).
    func state(of number: Int64, now: Int64) -> VaultSecretVersion {
        if isDestroyed == true { return .destroyed(number) }
        guard let deletedAt, !deletedAt.isEmpty else { return .present(number) }
        if let time = RemoteTime.rfc3339(deletedAt), now < time { return .present(number) }
        return .deleted(number)
    }
}

/// What `metadata/PATH` says.
struct VaultSecretFacts: Decodable {
    let current: Int64
    @IfReadable var versions: [String: VaultVersionFacts]?

    private enum CodingKeys: String, CodingKey {
        case current = "current_version"
        case versions
    }

    func version(now: Int64) -> VaultSecretVersion {
        // A secret whose versions were all removed has metadata, and the number 0.
        guard current > 0, let facts = versions?["\(current)"] else { return current > 0 ? .present(current) : .absent }
        return facts.state(of: current, now: now)
    }
}

/// The content of a secret of KV version 2. The members that the place names are texts; others may be anything.
struct VaultVersionedSecret: Decodable {
    let data: [String: VaultMember]?
    @IfReadable var metadata: VaultVersionFacts?
}

/// A member of a secret: a text, or something else.
struct VaultMember: Decodable {
    let text: SecretText?

    init(from decoder: any Decoder) { text = try? SecretText(from: decoder) }
}

/// What a mount is (`sys/internal/ui/mounts/PATH`).
struct VaultMountFacts: Decodable {
    let type: String
    @IfReadable var options: [String: String]?

    /// Nil if the mount is of another kind than KV.
    var engine: VaultEngine? {
        guard type == "kv" || type == "generic" else { return nil }
        return options?["version"] == "2" ? .versioned : .unversioned
    }
}
