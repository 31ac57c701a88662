import ConfigModel
import Issuers
import PKI
import PrivateFiles
import State
import SystemPackage

/// A file of revocation lists that hosts use, as `status` shows it.
package struct RevocationListStatus: Sendable {
    package let path: String
    /// The hosts that use the file.
    package private(set) var hosts: [String] = []
    /// The lists of the file that are past their next update and that no up-to-date list of the same host replaces.
    package private(set) var overdue: [Overdue] = []
    private var lists: [RevocationList] = []
    /// Why the file can't be used; nil if it can, or this user may not read it.
    package private(set) var fault: String?

    package struct Overdue: Sendable {
        package let list: RevocationList
        /// The hosts for which the list counts, and whether one of them refuses clients when a list is overdue.
        package fileprivate(set) var hosts: [String] = []
        package fileprivate(set) var refuses = false
    }

    /// The files of all hosts, sorted by path. Relative paths start at `directory`.
    package static func all(in snapshot: StateSnapshot, directory: FilePath, now: Int64) -> [RevocationListStatus] {
        var found: [String: RevocationListStatus] = [:]
        let mark = Array("\"crl_files\"".utf8)
        for (id, item) in snapshot.items where id.kind == .host && item.record.contains(mark) {
            guard let host = Host(record: item.record), host.enabled, let settings = host.clientAuth else { continue }
            let paths = settings.revocationLists
            for path in paths {
                found[path, default: RevocationListStatus(path, in: directory)].hosts.append(host.domain.text)
            }
            // Each host is examined for itself: a list may be overdue for one host, while an up-to-date list in another
            // file replaces it for the next host.
            let overdue = RevocationList.overdue(paths.flatMap { found[$0]?.lists ?? [] }, now: now)
            for path in paths { found[path]?.note(overdue, host.domain.text, settings.overdueLists) }
        }
        return found.values.sorted { $0.path < $1.path }
    }

    private init(_ path: String, in directory: FilePath) {
        self.path = path
        let place = SecretReader(directory: directory).resolve(path)
        do {
            let content = try PrivateFile.content(of: place, atMost: 2 * RevocationList.maximumBytes)
            lists = try RevocationList.lists(in: content.plainCopy())
        } catch {
            fault = place.isDenied ? nil : "\(error)"
        }
    }

    private mutating func note(_ found: [RevocationList], _ host: String, _ rule: ClientAuthSettings.OverdueList) {
        for list in lists where found.contains(where: { $0 === list }) {
            let index =
                overdue.firstIndex { $0.list === list }
                ?? {
                    overdue.append(Overdue(list: list))
                    return overdue.count - 1
                }()
            overdue[index].hosts.append(host)
            overdue[index].refuses = overdue[index].refuses || rule == .refuse
        }
    }

    /// Whether hosts refuse clients because of the file.
    package var hasProblem: Bool { fault != nil || overdue.contains(where: \.refuses) }

    /// Why hosts refuse clients, a line for each reason.
    package var problems: [String] {
        if let fault { return ["the revocation lists in '\(path)' of \(Self.names(hosts)) can't be used: \(fault)"] }
        return overdue.filter(\.refuses).map { item in
            "\(sentence(of: item)): \(Self.names(item.hosts)) refuses clients of this CA"
        }
    }

    /// The overdue lists that hosts accept nevertheless, a line for each.
    package var notes: [String] {
        overdue.filter { !$0.refuses }.map { "\(sentence(of: $0)), which \(Self.names($0.hosts)) accepts" }
    }

    private func sentence(of item: Overdue) -> String {
        let since = UTCTime.text(item.list.nextUpdate ?? 0)
        return "the revocation list of '\(item.list.issuer)' in '\(path)' is past its next update since \(since)"
    }

    private static func names(_ hosts: [String]) -> String {
        hosts.sorted().prefix(3).joined(separator: ", ") + (hosts.count > 3 ? " and \(hosts.count - 3) more" : "")
    }
}
