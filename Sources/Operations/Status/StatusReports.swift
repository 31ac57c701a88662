import ConfigModel
import Issuers
import Reconciler
import State
import Synchronization
import SystemPackage

/// Makes the reports on a state that a gateway's admin API shows.
///
/// The findings about hosts and certificates are kept between reports. The cost of an update depends on the number of
/// changes to the state. Once a minute, the findings that depend on the time are updated too; these are few. Facts
/// about gateways, identities and revocation lists are read for each report, and files of CAs once a second.
package final class StatusReports: Sendable {
    private let kept = Mutex<KeptFindings?>(nil)
    private let keptCalendar = Mutex<KeptCalendar?>(nil)

    package init() {}

    /// `machine` is this machine's name, `now` is in seconds since 1970.
    package func report(of store: any StateStore, machine: String, now: Int64) throws -> StatusReport {
        let found = try findings(in: store, now: now)
        let gateways = FleetStatus(try store.nodes(), revision: found.snapshot.revision, now: now)
        let failing = try FailingCertificate.all(in: store, gateways, now: now)
        var others = StateSnapshot(generation: found.snapshot.generation, revision: found.snapshot.revision, items: [:])
        for kind in [ItemKind.identity, .node, .edgeCertificate] {
            for (name, item) in try store.items(of: kind) { others.items[ItemID(kind, name)] = item }
        }
        for name in found.hostsWithLists {
            let id = ItemID(.host, name)
            others.items[id] = found.snapshot.items[id]
        }
        return try StatusReport(
            found.snapshot, found.hosts, found.conditions, failing, gateways, others: others, store, machine: machine,
            now: now)
    }

    /// The status of a host; nil if there is none of this name.
    package func host(_ name: String, of store: any StateStore, now: Int64) throws -> HostStatus? {
        let hosts = try findings(in: store, now: now).hosts
        var range = hosts.indices
        while !range.isEmpty {
            let middle = range.lowerBound + range.count / 2
            if hosts[middle].name == name { return hosts[middle] }
            range = hosts[middle].name < name ? middle + 1..<range.upperBound : range.lowerBound..<middle
        }
        return nil
    }

    /// When each certificate that Aegis renews is due, the next first.
    package func calendar(of store: any StateStore) throws -> [RenewalDate] {
        try keptCalendar.withLock { kept in
            let basis = try KeptCalendar.Basis(store)
            if let kept, kept.basis == basis { return kept.dates }
            let calendar = try KeptCalendar(basis, store)
            kept = calendar
            return calendar.dates
        }
    }

    private func findings(in store: any StateStore, now: Int64) throws -> KeptFindings {
        // Other threads that ask meanwhile wait for the result.
        try kept.withLock { kept in
            // The findings are taken out of `kept`, so that they have one owner and change without being copied.
            let former = kept.take()
            let findings = try former?.following(store, now: now) ?? KeptFindings(store, now: now)
            kept = findings
            return findings
        }
    }
}

/// When a certificate is due to be renewed.
package struct RenewalDate: Sendable {
    package let name: String
    /// Nil as long as it was never issued.
    package let facts: CertificateFacts?
    /// When the certificate is due, in seconds since 1970. After a failed try, this is not before the next try.
    package let dueAt: Int64
    package let progress: RenewalProgress?
}

/// What the report says of hosts and certificates, for a revision of the state and a minute.
private struct KeptFindings {
    private(set) var snapshot: StateSnapshot
    /// Sorted by name.
    private(set) var hosts: [HostStatus] = []
    /// The names of the hosts that use files of revocation lists.
    private(set) var hostsWithLists: Set<String> = []
    /// The names of the hosts that verify peers by files of CAs.
    private var hostsWithAuthorities: Set<String> = []
    /// What is wrong with certificates, by name. Those with nothing wrong are left out.
    private(set) var conditions: [String: CertificateCondition] = [:]
    private let file: StateFileID?
    /// When the files were read.
    private var now: Int64
    /// When all that depends on the time was examined.
    private var examinedAt: Int64
    private var settings: [String: HostStatus.Settings?] = [:]
    private var others: CertificatesByDomain
    private var findings = HostStatus.Findings()

    init(_ store: any StateStore, now: Int64) throws {
        file = store.file
        self.now = now
        examinedAt = now
        // The chains are read after the snapshot, so changes in between are read again the next time.
        snapshot = try store.snapshot()
        (snapshot.kept, snapshot.renewals) = ([:], [:])
        findings.chainFaults = try store.chainFindings(now: now).faults
        others = CertificatesByDomain(snapshot)
        conditions = snapshot.conditions(chainFaults: findings.chainFaults, now: now)
        for (id, item) in snapshot.items where id.kind == .host { note(host: id.name, item) }
        findings.unusableFiles = try unusableFiles(store)
        hosts = settings.keys.sorted().map(status)
    }

    /// These findings, brought up to the present state. Nil if everything must be read anew.
    consuming func following(_ store: any StateStore, now: Int64) throws -> KeptFindings? {
        guard file == store.file, file != nil, self.now <= now, snapshot.revision > 0 else { return nil }
        let isNewMinute = now / 60 != examinedAt / 60
        let isNewRevision = try store.position().revision != snapshot.revision
        guard self.now != now || isNewRevision else { return self }
        self.now = now
        var chains = try ChainFaults(now: now, of: store)
        guard var changed = try readChanges(in: store, &chains) else { return nil }
        let unusable = try unusableFiles(store)
        if unusable != findings.unusableFiles {
            let other = unusable.symmetricDifference(findings.unusableFiles)
            findings.unusableFiles = unusable
            changed.formUnion(hostsWithAuthorities.filter { uses(other, $0) }.map { ItemID(.host, $0) })
        }
        if isNewMinute {
            let then = examinedAt
            examinedAt = now
            changed.formUnion(try examineAgain(since: then, &chains, store))
            conditions = snapshot.conditions(chainFaults: findings.chainFaults, now: now)
            for host in hosts where isOther(host, since: then) { changed.insert(ItemID(.host, host.name)) }
        }
        update(changed)
        return self
    }

    /// The items that have changed. Nil if everything must be read anew.
    private mutating func readChanges(in store: any StateStore, _ chains: inout ChainFaults) throws -> Set<ItemID>? {
        var changed: Set<ItemID> = []
        let position = try store.readChanges(since: snapshot.revision) { change in
            switch change {
            case .item(let id, let item):
                changed.insert(id)
                snapshot.items[id] = item
                if id.kind == .host { note(host: id.name, item) }
            case .certificate(let stored):
                let id = ItemID(.certificate, stored.name)
                changed.insert(id)
                snapshot.items[id] = StoredItem(
                    owner: stored.owner, record: stored.record, certificate: stored.facts)
                findings.chainFaults[stored.name] = chains.fault(of: stored)
                let condition = CertificateCondition(
                    of: stored.facts, chainFault: findings.chainFaults[stored.name], now: now)
                conditions[stored.name] = condition.isGood ? nil : condition
            case .deleted(let id):
                changed.insert(id)
                snapshot.items[id] = nil
                if id.kind == .certificate { (findings.chainFaults[id.name], conditions[id.name]) = (nil, nil) }
                guard id.kind == .host else { return }
                settings[id.name] = nil
                hostsWithLists.remove(id.name)
                hostsWithAuthorities.remove(id.name)
            case .challenge, .challengeDeleted: break
            }
        }
        // An issuer's `ca_file` decides about the chains of its certificates.
        guard let position, !changed.contains(where: { $0.kind == .issuer }) else { return nil }
        (snapshot.revision, snapshot.generation) = (position.revision, position.generation)
        if changed.contains(where: { $0.kind == .certificate }) { others = CertificatesByDomain(snapshot) }
        return changed
    }

    private mutating func note(host name: String, _ item: StoredItem) {
        let read = HostStatus.Settings(record: item.record)
        settings[name] = .some(read)
        if read?.usesRevocationLists == true { hostsWithLists.insert(name) } else { hostsWithLists.remove(name) }
        if read?.authorityFiles.isEmpty == false {
            hostsWithAuthorities.insert(name)
        } else {
            hostsWithAuthorities.remove(name)
        }
    }

    /// The files of the hosts that can't be used as lists of CAs.
    private func unusableFiles(_ store: any StateStore) throws -> Set<String> {
        guard !hostsWithAuthorities.isEmpty else { return [] }
        let paths = Set(hostsWithAuthorities.flatMap(authorityFiles))
        return AuthorityFiles.unusable(among: paths, in: FilePath(try store.directory() ?? "."))
    }

    private func uses(_ paths: Set<String>, _ host: String) -> Bool {
        authorityFiles(of: host).contains(where: paths.contains)
    }

    private func authorityFiles(of host: String) -> [String] {
        (settings[host] ?? nil)?.authorityFiles.map(\.path) ?? []
    }

    /// Computes again the status of each host that depends on a changed item.
    private mutating func update(_ changed: Set<ItemID>) {
        var names = Set(changed.lazy.filter { $0.kind == .host }.map(\.name))
        let certificates = Set(changed.lazy.filter { $0.kind == .certificate }.map(\.name))
        if !certificates.isEmpty {
            for host in hosts {
                // A host without its own certificate is served with any that has its name.
                let wanted = (settings[host.name] ?? nil)?.certificateName
                if wanted == nil || wanted != host.certificate || certificates.contains(wanted ?? "") {
                    names.insert(host.name)
                }
            }
        }
        guard !names.isEmpty else { return }
        let anew = names.filter { settings[$0] != nil }.sorted().map(status)
        var merged: [HostStatus] = []
        merged.reserveCapacity(hosts.count + anew.count)
        var rest = anew[...]
        for host in hosts where !names.contains(host.name) {
            while let next = rest.first, next.name < host.name { merged.append(rest.removeFirst()) }
            merged.append(host)
        }
        hosts = merged + rest
    }

    private func status(of name: String) -> HostStatus {
        HostStatus(name, settings[name] ?? nil, snapshot, others, findings, now)
    }

    /// Whether the status of a host differs from that at `then` only because time has passed.
    private func isOther(_ host: HostStatus, since then: Int64) -> Bool {
        guard let name = host.certificate, let facts = snapshot.items[ItemID(.certificate, name)]?.certificate else {
            return false
        }
        let left = (then: facts.expiresAt - then, now: facts.expiresAt - now)
        // Apart from the renewal, a status changes only at the certificate's end and whole days before it.
        return left.then / 86_400 != left.now / 86_400 || left.then % 86_400 == 0
            || (left.then > 0) != (left.now > 0) || (then < facts.dueAt) != (now < facts.dueAt)
    }

    /// Examines the chains whose faults depend on the time: those that had a fault, and those in which a certificate
    /// has expired since `then`. Returns the certificates whose faults have changed.
    private mutating func examineAgain(
        since then: Int64, _ chains: inout ChainFaults, _ store: any StateStore
    ) throws -> [ItemID] {
        var names = Set(findings.chainFaults.keys)
        for (id, item) in snapshot.items {
            guard let facts = item.certificate, then < facts.expiresAt, facts.expiresAt <= now else { continue }
            names.insert(id.name)
        }
        return try names.filter { name in
            let fault = try store.certificate(named: name).flatMap { chains.fault(of: $0) }
            defer { findings.chainFaults[name] = fault }
            return findings.chainFaults[name] != fault
        }.map { ItemID(.certificate, $0) }
    }
}

/// When certificates are due, for a revision of the state and the failures and advice that it has.
private struct KeptCalendar {
    struct Basis: Equatable {
        let file: StateFileID?
        let position: StatePosition
        let renewals: [RenewalProgress]

        init(_ store: any StateStore) throws {
            file = store.file
            position = try store.position()
            renewals = try store.renewals()
        }
    }

    let basis: Basis
    /// The next first.
    let dates: [RenewalDate]

    init(_ basis: Basis, _ store: any StateStore) throws {
        self.basis = basis
        let state = try ManagedState(store)
        dates = state.calendar().map { certificate, facts, dueAt in
            RenewalDate(
                name: certificate.name, facts: facts, dueAt: dueAt, progress: state.progress[certificate.name])
        }
    }
}
