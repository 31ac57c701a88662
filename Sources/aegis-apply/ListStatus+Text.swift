import ConfigModel
import Operations
import PKI
import State

extension ListStatus {
    /// The lines about all files, after an empty line. Empty if nothing is wrong.
    static func text(_ all: [ListStatus]) -> String {
        let lines = all.map(\.text).joined()
        return lines.isEmpty ? "" : "\n" + lines
    }

    /// A line for each problem with the file; empty if there is none.
    private var text: String {
        if let fault {
            let who = Self.names(hosts.sorted())
            return "problem: the revocation lists in '\(path)' of \(who) can't be used: \(fault)".printable + "\n"
        }
        return overdue.map { item in
            let (who, since) = (Self.names(item.hosts.sorted()), UTCTime.text(item.list.nextUpdate ?? 0))
            let what =
                "the revocation list of '\(item.list.issuer)' in '\(path)' is past its next update since \(since)"
            return
                (item.refuses
                ? "problem: \(what): \(who) refuses clients of this CA" : "note: \(what), which \(who) accepts")
                .printable
                + "\n"
        }.joined()
    }

    private static func names(_ hosts: [String]) -> String {
        hosts.prefix(3).joined(separator: ", ") + (hosts.count > 3 ? " and \(hosts.count - 3) more" : "")
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
