import ConfigModel
import Issuers
import State

/// An edge certificate at Cloudflare, as a line of `status`.
package struct EdgeStatus: Sendable {
    package let name: String
    /// The newest pack; nil when none was ordered.
    package let pack: EdgePack?
    /// How many older packs stay until the newest pack is active.
    package let formerCount: Int

    /// The edge certificates of a state, sorted by name.
    package static func all(in snapshot: StateSnapshot, _ packs: [EdgePack]) -> [EdgeStatus] {
        let own = Dictionary(grouping: packs, by: \.certificate)
        let names = Set(snapshot.items.keys.filter { $0.kind == .edgeCertificate }.map(\.name)).union(own.keys)
        return names.sorted().map { name in
            EdgeStatus(name: name, pack: own[name]?.last, formerCount: max(0, (own[name]?.count ?? 0) - 1))
        }
    }

    private var formerText: String? {
        guard formerCount > 0, let pack else { return nil }
        return pack.isActive ? "the former one is not deleted yet" : "the former one is served until then"
    }

    package var problem: String? { pack?.problem ?? formerText }

    /// Why edge certificates of a file must be ordered again, as far as the state itself shows it.
    package static func orderedAgain(
        _ configuration: Configuration, _ snapshot: StateSnapshot, _ store: (any StateStore)?
    ) throws(StateError) -> [ItemID: String] {
        guard let store, !configuration.edgeCertificates.isEmpty else { return [:] }
        let newest = Dictionary(try store.edgePacks().map { ($0.certificate, $0) }) { $1 }
        var reasons: [ItemID: String] = [:]
        for certificate in configuration.edgeCertificates {
            let item = ItemID(.edgeCertificate, certificate.displayName)
            guard snapshot.items[item] != nil else { continue }
            guard let pack = newest[item.name] else {
                reasons[item] = "is not ordered"
                continue
            }
            if let loss = pack.loss { reasons[item] = loss }
        }
        return reasons
    }
}
