import ConfigModel
import Operations
import PKI
import State

extension RevocationListStatus {
    /// The lines about all files, after an empty line. Empty if nothing is wrong.
    static func text(_ all: [RevocationListStatus]) -> String {
        let lines = all.map(\.text).joined()
        return lines.isEmpty ? "" : "\n" + lines
    }

    /// A line for each problem with the file; empty if there is none.
    private var text: String {
        (problems.map { "problem: \($0)" } + notes.map { "note: \($0)" }).map { $0.printable + "\n" }.joined()
    }

    var value: PlainValue {
        .map([
            ("file", .string(path)), ("hosts", .list(hosts.sorted().map(PlainValue.string))),
            (
                "overdue",
                .list(
                    overdue.map { item in
                        .map([
                            ("issuer", .string(item.list.issuer)),
                            ("next_update", .string(UTCTime.rfc3339(item.list.nextUpdate ?? 0))),
                        ])
                    })
            ),
            ("fault", fault.map(PlainValue.string) ?? .null), ("is_problem", .bool(hasProblem)),
        ])
    }
}
