import Issuers
import Reconciler
import State
import SystemPackage

/// What is wrong in a state, and whether anybody must act.
package struct StatusReport: Sendable {
    /// In a report that `StatusReports` made, this lacks the kept certificates and the renewals.
    package let snapshot: StateSnapshot
    package let gateways: FleetStatus
    /// Sorted by name.
    package let hosts: [HostStatus]
    /// What is wrong with the certificates in force, by name. Those with nothing wrong are left out.
    package let conditions: [String: CertificateCondition]
    /// The certificates with something wrong that clients get although they are no host's own. Sorted by name.
    package let certificates: [CertificateStatus]
    /// Sorted by name.
    package let failing: [FailingCertificate]
    package let edge: [EdgeStatus]
    /// Sorted by name. They are read by this process, with its user's permissions and its environment.
    package let identities: [LoadedIdentity]
    /// The files of revocation lists, sorted by path.
    package let lists: [RevocationListStatus]

    /// What must be mended, with the item that it concerns: its kind and its name.
    package let problems: [(item: String, problem: String)]

    /// `machine` is this machine's name, `now` is in seconds since 1970. `files` reads the files of the operator's own
    /// certificates; nil if they are not examined.
    package init(of store: any StateStore, machine: String, now: Int64, files: SecretReader? = nil) throws {
        let snapshot = try store.snapshot()
        let gateways = FleetStatus(try store.nodes(), revision: snapshot.revision, now: now)
        let chains = try store.chainFindings(now: now, files: files)
        let paths = snapshot.items.filter { $0.key.kind == .host }.flatMap { _, item in
            HostStatus.Settings(record: item.record)?.authorityFiles.map(\.path) ?? []
        }
        let directory = FilePath(try store.directory() ?? ".")
        let findings = HostStatus.Findings(
            chainFaults: chains.faults, chainDoubts: chains.doubts,
            unusableFiles: AuthorityFiles.unusable(among: Set(paths), in: directory))
        let hosts = HostStatus.all(in: snapshot, findings, now: now)
        let failing = try FailingCertificate.all(in: store, gateways, now: now)
        let conditions = snapshot.conditions(chainFaults: chains.faults, now: now)
        try self.init(
            snapshot, hosts, conditions, failing, gateways, others: snapshot, store, machine: machine, now: now)
    }

    /// `others` has the items that are no hosts and no certificates, and the hosts with revocation lists.
    init(
        _ snapshot: StateSnapshot, _ hosts: [HostStatus], _ conditions: [String: CertificateCondition],
        _ failing: [FailingCertificate], _ gateways: FleetStatus, others: StateSnapshot, _ store: any StateStore,
        machine: String, now: Int64
    ) throws {
        (self.snapshot, self.hosts, self.failing, self.gateways) = (snapshot, hosts, failing, gateways)
        self.conditions = conditions
        certificates = try CertificateStatus.all(conditions, besides: hosts, in: store)
        edge = try EdgeStatus.all(in: others, store.edgePacks())
        let directory = FilePath(try store.directory() ?? ".")
        identities = try IdentityList(store, others, gateways, directory: directory, machine: machine, now: now)
            .identities
        lists = RevocationListStatus.all(in: others, directory: directory, now: now)
        problems = Self.problems(gateways, identities, failing, edge, lists, certificates, hosts)
    }

    private static func problems(
        _ gateways: FleetStatus, _ identities: [LoadedIdentity], _ failing: [FailingCertificate], _ edge: [EdgeStatus],
        _ lists: [RevocationListStatus], _ certificates: [CertificateStatus], _ hosts: [HostStatus]
    ) -> [(item: String, problem: String)] {
        let running = gateways.alive.filter { $0.problems > 0 }.flatMap { reported(by: $0, identities) }
        let missing = gateways.haveRun && gateways.alive.isEmpty ? [("gateway:gateway", "no gateway is running")] : []
        let missed = failing.filter(\.isMissed).map { failing in
            (
                "certificate:\(failing.progress.certificate)",
                "could not be obtained" + tail(failing.progress.lastFailure)
            )
        }
        return missing + running + missed
            + edge.compactMap { edge in edge.problem.map { ("edge_certificate:\(edge.name)", $0) } }
            + identities.compactMap { identity in identity.problem.map { ("identity:\(identity.name)", $0) } }
            + lists.flatMap { list in list.problems.map { ("revocation_list:\(list.path)", $0) } }
            + certificates.compactMap { status in
                status.condition.problem.map { ("certificate:\(status.name)", $0) }
            }
            + hosts.compactMap { host in host.problem.map { ("host:\(host.name)", $0) } }
    }

    /// The problems that a gateway reports, each with the gateway as its item. Those of identities are left out, since
    /// `LoadedIdentity.problem` contains them.
    private static func reported(by node: GatewayNode, _ identities: [LoadedIdentity]) -> [(String, String)] {
        let gateway = "gateway:\(node.machine)"
        guard !node.troubles.isEmpty else {
            return [(gateway, "\(node.problems) items could not be put in force" + tail(node.lastProblem))]
        }
        let others = node.troubles.filter { trouble in
            !identities.contains { trouble.item == ItemID(.identity, $0.name) }
        }
        let left = node.problems - node.troubles.count
        return others.map { (gateway, $0.text) }
            + (left > 0 ? [(gateway, "\(left) more items could not be put in force; its log names them")] : [])
    }

    private static func tail(_ reason: String?) -> String { reason.map { ": \($0)" } ?? "" }

    /// Whether anybody must act: whether there are `problems`.
    package var hasProblem: Bool {
        !problems.isEmpty || gateways.hasProblem || lists.contains(where: \.hasProblem)
    }
}

extension StateStore {
    /// What is wrong with the chains of certificates in force, by certificate name. `faults` say why clients refuse a
    /// chain. `doubts` say why some clients refuse a chain, or all will later. They are looked for only with `files`,
    /// which reads the files of the operator's own certificates. `now` is in seconds since 1970.
    package func chainFindings(
        now: Int64, files: SecretReader? = nil
    ) throws -> (faults: [String: String], doubts: [String: String]) {
        var chains = try ChainFaults(now: now, of: self)
        var found: (faults: [String: String], doubts: [String: String]) = ([:], [:])
        try forEachCertificate { stored in
            if let fault = chains.fault(of: stored) {
                found.faults[stored.name] = fault
            } else if let files {
                found.doubts[stored.name] = chains.gap(of: stored, in: files) ?? chains.doubt(of: stored)
            }
        }
        return found
    }
}
