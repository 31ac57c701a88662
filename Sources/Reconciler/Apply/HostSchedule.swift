import ConfigModel
import State

/// Decides when an apply commits the hosts of a plan. Hosts that need no certificate of this apply are committed at
/// once. The others wait for a certificate: they are committed together with it, or when it could not be obtained.
///
/// So no host gets worse while the apply runs. A host that is new or changes its certificate is not served with the
/// fallback certificate while its own is being obtained. A host whose certificate is only renewed or extended does not
/// wait. A name that moves from one host to another moves in one commit, so that clients always find it.
///
/// A host that waits for new names, or for TLS at all, has an early form for the time until then, unless that would do
/// harm: its present names and certificate, and the file's other settings.
struct HostSchedule {
    /// The changes that need not wait.
    private(set) var ready: [Change] = []
    /// The early forms of changes that wait.
    private(set) var early: [(change: Change, host: Host)] = []
    private var groups: [Group] = []
    private var groupsByCertificate: [String: [Int]] = [:]

    /// Changes that must be committed together.
    private struct Group {
        var changes: [Change] = []
        /// The certificates that the changes still wait for.
        var awaited: Set<String> = []
    }

    /// `now` is in seconds since 1970.
    init(_ plan: Plan, of configuration: Configuration, now: Int64) {
        let changes = plan.changes.filter { $0.item.kind == .host }
        let coming = plan.changes.filter { $0.item.kind == .certificate && $0.action != .delete && !$0.isAtHand }
        let certificates = Dictionary(coming.map { ($0.item.name, $0) }) { $1 }
        let awaited = changes.map { change in
            certificates.isEmpty
                ? nil : change.host(in: configuration).flatMap { Self.awaited($0, change, certificates, now: now) }
        }
        guard awaited.contains(where: { $0 != nil }) else {
            ready = changes
            return
        }
        var sets = DisjointSets(count: changes.count)
        let moves = NameMoves(changes, of: configuration)
        var reached = changes.indices.filter { awaited[$0] != nil }
        var isReached = awaited.map { $0 != nil }
        while let index = reached.popLast() {
            // A host that gives a name to a waiting host, or gets a name from it, must wait too. The same applies to
            // the partners of that host, and so on.
            for other in moves.partners(of: index, changes[index].host(in: configuration)) {
                sets.join(index, other)
                if !isReached[other] { reached.append(other) }
                isReached[other] = true
            }
        }
        var numbers: [Int: Int] = [:]
        for (index, change) in changes.enumerated() {
            guard isReached[index] else {
                ready.append(change)
                continue
            }
            let set = sets.representative(of: index)
            let number = numbers[set] ?? groups.count
            numbers[set] = number
            if number == groups.count { groups.append(Group()) }
            groups[number].changes.append(change)
            if let host = change.early(in: configuration) { early.append((change, host)) }
            guard let name = awaited[index], groups[number].awaited.insert(name).inserted else { continue }
            groupsByCertificate[name, default: []].append(number)
        }
    }

    /// The changes that need not wait any longer, now that a certificate was obtained or has failed. Call this function
    /// once for each certificate.
    mutating func release(by certificate: String) -> [Change] {
        var released: [Change] = []
        for number in groupsByCertificate.removeValue(forKey: certificate) ?? [] {
            groups[number].awaited.remove(certificate)
            if groups[number].awaited.isEmpty { released += groups[number].changes }
        }
        return released
    }

    /// The certificate of this apply that a host must wait for; nil when it need not wait.
    private static func awaited(
        _ host: Host, _ change: Change, _ coming: [String: Change], now: Int64
    ) -> String? {
        guard host.enabled, let name = host.certificateName, let certificate = coming[name] else { return nil }
        if let former = change.formerHost, former.enabled, former.certificateName == name,
            former.forceHTTPS || !host.forceHTTPS, Set(host.names).isSubset(of: former.names)
        {
            return nil
        }
        guard let facts = certificate.former?.certificate else { return name }
        return facts.loss == nil && facts.expiresAt > now && facts.covers(host.names) ? nil : name
    }
}

/// Which hosts of a plan give up names, and which hosts get these names. All numbers are indices into the plan's
/// changes of hosts.
private struct NameMoves {
    private var givers: [String: Int] = [:]
    private var giversBelow: [Substring: [Int]] = [:]
    private var givenUp: [Int: [String]] = [:]
    private var takers: [String: Int] = [:]
    /// Fields whose change may make a host give up names.
    private static let paths: Set<String> = ["aliases", "enabled", "ssl_mode", "certificate"]

    init(_ changes: [Change], of configuration: Configuration) {
        for (index, change) in changes.enumerated() {
            let host = change.host(in: configuration)
            // Parsing the records of very many hosts takes long, so only hosts that may give up names are parsed.
            guard host == nil || change.fields.contains(where: { Self.paths.contains($0.path) }),
                let former = change.formerHost, former.enabled
            else { continue }
            let kept = host.map { $0.enabled ? Set($0.names) : [] } ?? []
            for name in former.names {
                guard !kept.contains(name) else {
                    // A host that takes a name below this wildcard may have a better certificate for the name, so both
                    // hosts change in one commit.
                    if name.isWildcard, host?.certificateName != former.certificateName { givers[name.text] = index }
                    continue
                }
                givers[name.text] = index
                giversBelow[name.parent, default: []].append(index)
                givenUp[index, default: []].append(name.text)
            }
        }
        guard !givers.isEmpty else { return }
        for (index, change) in changes.enumerated() {
            guard let host = change.host(in: configuration), host.enabled else { continue }
            for name in host.names where givers[name.text] != nil { takers[name.text] = index }
        }
    }

    /// The hosts that give names to this host, and the hosts that get names from this host. A wildcard counts as all
    /// names below it.
    func partners(of index: Int, _ host: Host?) -> [Int] {
        let names = host.map { $0.enabled ? $0.names : [] } ?? []
        let from = names.flatMap { name in
            if name.isWildcard { return giversBelow[name.parent] ?? [] }
            return [name.text, "*.\(name.parent)"].compactMap { givers[$0] }
        }
        return from + (givenUp[index] ?? []).compactMap { takers[$0] }
    }
}

/// Disjoint sets of numbers (union-find).
private struct DisjointSets {
    private var parents: [Int]

    init(count: Int) { parents = Array(0..<count) }

    mutating func representative(of number: Int) -> Int {
        var number = number
        while parents[number] != number {
            parents[number] = parents[parents[number]]
            number = parents[number]
        }
        return number
    }

    mutating func join(_ first: Int, _ second: Int) {
        parents[representative(of: first)] = representative(of: second)
    }
}

extension Change {
    /// The host in the file; nil when it is deleted.
    fileprivate func host(in configuration: Configuration) -> Host? {
        guard case .host(let index) = declared?.place else { return nil }
        return configuration.hosts[index]
    }

    fileprivate var formerHost: Host? { former.flatMap { Host(record: $0.record) } }

    /// The form in which a host that waits for a certificate can be in force at once. Nil if that changes nothing, or
    /// would show the host's new answers to the wrong clients: under names that the host gives up and another host may
    /// get, over plain HTTP before `force_https`, or before `client_auth`.
    fileprivate func early(in configuration: Configuration) -> Host? {
        guard let former, var host = host(in: configuration), let old = formerHost, old.enabled, host.enabled,
            Set(old.names).isSubset(of: host.names), old.forceHTTPS || !host.forceHTTPS,
            old.sslMode != .none || host.clientAuth == nil
        else { return nil }
        host.aliases = old.aliases
        host.sslMode = old.sslMode
        host.issuers = old.issuers
        host.certificate = old.certificate
        // HSTS needs TLS.
        if old.sslMode == .none { host.hsts = old.hsts }
        return host.record(.compact).json() == former.record ? nil : host
    }
}
