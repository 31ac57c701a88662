import ConfigModel
import Issuers
import PKI
import PrivateFiles
import State
import SystemPackage

/// A file of revocation lists that hosts use, as `status` shows it.
struct ListStatus {
    let path: String
    /// The hosts that use the file, and whether one of them refuses clients when a list is overdue.
    private var hosts: [String] = []
    private var refuses = false
    /// The lists that are past their next update.
    private var overdue: [(issuer: String, since: Int64)] = []
    /// Why the file can't be used; nil if it can, or this user may not read it.
    private var fault: String?

    /// The files of all hosts, sorted by path. Relative paths start at `directory`.
    static func all(in snapshot: StateSnapshot, directory: FilePath, now: Int64) -> [ListStatus] {
        var found: [String: ListStatus] = [:]
        let mark = Array("\"crl_files\"".utf8)
        for (id, item) in snapshot.items where id.kind == .host && item.record.contains(mark) {
            guard let host = Host(record: item.record), host.enabled, let settings = host.clientAuth else { continue }
            for path in settings.revocationLists {
                found[path, default: ListStatus(path, in: directory, now: now)].add(host, settings)
            }
        }
        return found.values.sorted { $0.path < $1.path }
    }

    private init(_ path: String, in directory: FilePath, now: Int64) {
        self.path = path
        let place = SecretReader(directory: directory).resolve(path)
        do {
            let content = try PrivateFile.content(of: place, atMost: 2 * RevocationList.maximumBytes)
            overdue = try RevocationList.lists(in: content.plainCopy()).compactMap {
                list -> (issuer: String, since: Int64)? in
                guard let end = list.nextUpdate, end <= now else { return nil }
                return (list.issuer, end)
            }
        } catch {
            fault = place.isDenied ? nil : "\(error)"
        }
    }

    private mutating func add(_ host: Host, _ settings: ClientAuthSettings) {
        hosts.append(host.domain.text)
        refuses = refuses || settings.overdueLists == .refuse
    }

    /// Whether hosts refuse clients because of the file.
    var hasProblem: Bool { fault != nil || !overdue.isEmpty && refuses }

    /// The lines about all files, after an empty line. Empty if nothing is wrong.
    static func text(_ all: [ListStatus]) -> String {
        let lines = all.map(\.text).joined()
        return lines.isEmpty ? "" : "\n" + lines
    }

    /// A line for each problem with the file; empty if there is none.
    private var text: String {
        let who = Self.names(hosts.sorted())
        if let fault {
            return "problem: the revocation lists in '\(path)' of \(who) can't be used: \(fault)".printable + "\n"
        }
        return overdue.map { issuer, since in
            let what =
                "the revocation list of '\(issuer)' in '\(path)' is past its next update since \(UTCTime.text(since))"
            return (refuses ? "problem: \(what): \(who) refuses its clients" : "note: \(what), which \(who) accepts")
                .printable + "\n"
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
                    overdue.map { issuer, since in
                        .map([("issuer", .string(issuer)), ("next_update", .string(UTCTime.rfc3339(since)))])
                    })
            ),
            ("fault", fault.map(PlainValue.string) ?? .null), ("is_problem", .bool(hasProblem)),
        ])
    }
}
