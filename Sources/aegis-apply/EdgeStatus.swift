import ConfigModel
import Issuers
import State

/// An edge certificate at Cloudflare, as a line of `status`.
struct EdgeStatus {
    let name: String
    /// The newest pack; nil when none was ordered.
    let pack: EdgePack?
    /// How many older packs stay until the newest pack is active.
    let formerCount: Int

    /// The edge certificates of a state, sorted by name.
    static func all(in snapshot: StateSnapshot, _ packs: [EdgePack]) -> [EdgeStatus] {
        let own = Dictionary(grouping: packs, by: \.certificate)
        let names = Set(snapshot.items.keys.filter { $0.kind == .edgeCertificate }.map(\.name)).union(own.keys)
        return names.sorted().map { name in
            EdgeStatus(name: name, pack: own[name]?.last, formerCount: max(0, (own[name]?.count ?? 0) - 1))
        }
    }

    /// The table for `status`; empty when there are no edge certificates.
    static func text(_ all: [EdgeStatus]) -> String {
        guard !all.isEmpty else { return "" }
        let table = TextTable(["EDGE CERTIFICATE", "STATUS", "EXPIRES", "CHECKED", "PROBLEM"], all.map(\.cells))
        let notes = all.flatMap { status in (status.pack?.notes ?? []).map { "  \(status.name): \($0)\n" } }
        return "\n" + table.text + notes.joined()
    }

    private var cells: [String] {
        [
            name, pack?.status ?? "not ordered", pack?.expiresAt.map(UTCTime.text) ?? "",
            pack.map { UTCTime.text($0.checkedAt) } ?? "", problem ?? "",
        ]
    }

    private var formerText: String? {
        guard formerCount > 0, let pack else { return nil }
        return pack.isActive ? "the former one is not deleted yet" : "the former one is served until then"
    }

    var hasProblem: Bool { problem != nil }

    private var problem: String? { pack?.problem ?? (formerText) }

    var value: PlainValue {
        .map([
            ("name", .string(name)), ("status", pack.map { .string($0.status) } ?? .null),
            ("id", pack?.id.map(PlainValue.string) ?? .null),
            ("expires_at", pack?.expiresAt.map { .string(UTCTime.rfc3339($0)) } ?? .null),
            ("checked_at", pack.map { .string(UTCTime.rfc3339($0.checkedAt)) } ?? .null),
            ("notes", .list((pack?.notes ?? []).map(PlainValue.string))),
            ("problem", problem.map(PlainValue.string) ?? .null),
        ])
    }
}
