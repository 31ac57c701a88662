import ConfigModel
import State

/// The state without its secrets, to be archived or compared.
enum SnapshotRoute {
    static let route: Route = .reading(
        "/api/v1/snapshot", "getSnapshot", "The state without its secrets, to archive or compare it", form
    ) { try $0.store.snapshot() }

    private typealias Entry = (id: ItemID, item: StoredItem)

    private static let form = JSONForm<StateSnapshot>.object(
        "Snapshot", "All items of a state. Values of headers that hosts set for upstreams are '(hidden)'",
        [
            JSONMember("format_version", .integer, "1") { _ in 1 },
            JSONMember("generation", .integer, "The number of the last apply that changed something") {
                $0.generation
            },
            JSONMember("revision", .integer, "Grows with each change of the configuration in force") { $0.revision },
            JSONMember("items", .list(of: item), "The items in force, sorted by kind and name") { snapshot in
                snapshot.items.sorted { $0.key < $1.key }.map { (id: $0.key, item: $0.value) }
            },
            JSONMember("kept", .list(of: item), "The certificates that are kept to be used again") { snapshot in
                snapshot.kept.sorted { $0.key < $1.key }.map {
                    (id: ItemID(.certificate, $0.key), item: $0.value.item)
                }
            },
        ])

    private static let item = JSONForm<Entry>.object(
        "SnapshotItem", "An item of a state",
        [
            JSONMember("kind", .text, "Such as host or certificate") { $0.id.kind.rawValue },
            JSONMember("name", .text, "Its name, unique among those of its kind") { $0.id.name },
            JSONMember("owner", .word(["file", "api"]), "Who declares it") { $0.item.owner.rawValue },
            JSONMember("record", .optional(.any("object")), "Its settings, as in the file; null if they can't be read")
            {
                record($0)
            },
            JSONMember("certificate", .optional(facts), "What was issued; null for other items") {
                $0.item.certificate
            },
        ])

    private static let facts = JSONForm<CertificateFacts>.object(
        "CertificateFacts", "What is known of a certificate",
        [
            JSONMember("domains", .list(of: .text), "The names that it covers") { $0.domains },
            JSONMember("source", .word(CertificateFacts.Source.allCases.map(\.rawValue)), "Where it came from") {
                $0.source.rawValue
            },
            JSONMember("issuer", .text, "The common name of the CA; empty when the CA has none") {
                $0.issuerCommonName
            },
            JSONMember("directory", .text, "The CA that issued it; empty when it is not known") { $0.directory },
            JSONMember("not_before", .time, "The beginning of its validity") { $0.notBefore },
            JSONMember("expires_at", .time, "The end of its validity, and of the chain's") { $0.expiresAt },
            JSONMember("auto_renew", .flag, "Whether it is renewed before it expires") { $0.autoRenew },
            JSONMember("created_at", .time, "When this leaf was stored") { $0.createdAt },
            JSONMember("fingerprint", .text, "SHA-256 of the leaf in lower-case hex") { $0.fingerprint },
            JSONMember("problem", .optional(.text), "Why it can't be used; null when it can") { $0.loss },
        ])

    /// An item's settings without anything secret; nil if they can't be read. Values of headers that a host sets for
    /// its upstreams may be credentials. In place of a secret that stood in the file, a record has a fingerprint, by
    /// which a guess could be confirmed.
    private static func record(_ entry: Entry) -> PlainValue? {
        guard entry.id.kind == .host else {
            return (try? JSONText.value(of: entry.item.record)).map(withoutFingerprints)
        }
        return Host(record: entry.item.record).map { withoutFingerprints($0.withoutUpstreamValues.record(.compact)) }
    }

    private static func withoutFingerprints(_ value: PlainValue) -> PlainValue {
        switch value {
        case .object(let entries):
            .object(
                entries.map { entry in
                    PlainValue.Entry(
                        entry.key,
                        entry.key == "inline" ? .string("(hidden)") : withoutFingerprints(entry.value))
                })
        case .list(let items): .list(items.map(withoutFingerprints))
        default: value
        }
    }
}
