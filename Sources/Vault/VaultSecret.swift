import PKI
import Remote

/// Where a KV mount has a certificate and its key.
package struct VaultSecretPlace: Sendable, Hashable {
    package let mount: String
    package let path: String
    /// The names of the secret's members. `authorities` is nil if the secret has no CAs.
    package let certificate: String
    package let key: String
    package let authorities: String?

    package init(mount: String, path: String, certificate: String, key: String, authorities: String?) {
        (self.mount, self.path) = (mount, path)
        (self.certificate, self.key, self.authorities) = (certificate, key, authorities)
    }

    /// The place as text, for messages.
    var name: String { "'\(mount.oneLine(limit: 100))/\(path.oneLine(limit: 200))'" }
}

/// The state of a secret's newest version. The number that a case contains is the version's number.
package enum VaultSecretVersion: Sendable, Equatable {
    case present(Int64)
    /// The version was deleted, and can be undeleted.
    case deleted(Int64)
    /// The version was destroyed and can't be restored.
    case destroyed(Int64)
    /// Neither the secret nor a deleted version of it exists.
    case absent
    /// The mount keeps no versions (KV version 1), or the token has no permission to see them. Only the content shows a
    /// change.
    case unknown
}

/// The members of a secret, in PEM.
package struct VaultSecretContent: Sendable {
    package let certificate: SecretBytes
    package let key: SecretBytes
    /// Nil if `VaultSecretPlace` has no name for the CAs.
    package let authorities: SecretBytes?
    /// The version that was read. Nil if the mount keeps no versions.
    package let version: Int64?
}

/// Whether a KV mount keeps versions of its secrets (KV version 2) or not (version 1).
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

    /// The version's state at `now`, in seconds since 1970. The deletion time may be in the future
    /// (`delete_version_after`).
    func state(of number: Int64, now: Int64) -> VaultSecretVersion {
        if isDestroyed == true { return .destroyed(number) }
        guard let deletedAt, !deletedAt.isEmpty else { return .present(number) }
        if let time = RemoteTime.rfc3339(deletedAt), now < time { return .present(number) }
        return .deleted(number)
    }
}

/// The answer to `metadata/PATH`.
struct VaultSecretFacts: Decodable {
    let current: Int64
    @IfReadable var versions: [String: VaultVersionFacts]?

    private enum CodingKeys: String, CodingKey {
        case current = "current_version"
        case versions
    }

    func version(now: Int64) -> VaultSecretVersion {
        // If all versions of a secret were removed, the metadata remains, and its current version is 0.
        guard current > 0, let facts = versions?["\(current)"] else { return current > 0 ? .present(current) : .absent }
        return facts.state(of: current, now: now)
    }
}

/// The content of a secret of KV version 2. Only the members that `VaultSecretPlace` names must be texts.
struct VaultVersionedSecret: Decodable {
    let data: [String: VaultMember]?
    @IfReadable var metadata: VaultVersionFacts?
}

/// A member of a secret. `text` is nil if it is not a text.
struct VaultMember: Decodable {
    let text: SecretText?

    init(from decoder: any Decoder) { text = try? SecretText(from: decoder) }
}

/// The answer about a mount (`sys/internal/ui/mounts/PATH`).
struct VaultMountFacts: Decodable {
    let type: String
    @IfReadable var options: [String: String]?

    /// Nil if the mount is not a KV mount.
    var engine: VaultEngine? {
        guard type == "kv" || type == "generic" else { return nil }
        return options?["version"] == "2" ? .versioned : .unversioned
    }
}
