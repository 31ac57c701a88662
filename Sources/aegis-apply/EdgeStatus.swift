import ConfigModel
import Operations
import State

extension EdgeStatus {
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
