import Issuers
import Reconciler
import State
import SystemPackage

/// What is wrong in a state, and whether anybody must act.
package struct StatusReport: Sendable {
    package let snapshot: StateSnapshot
    package let gateways: FleetStatus
    /// Sorted by name.
    package let hosts: [HostStatus]
    /// Sorted by name.
    package let failing: [FailingCertificate]
    package let edge: [EdgeStatus]
    /// Sorted by name. Read by this process, so its user and its environment count.
    package let identities: [LoadedIdentity]
    /// The files of revocation lists, sorted by path.
    package let lists: [RevocationListStatus]

    /// `machine` is this machine's name, `now` is in seconds since 1970. `files` reads the files of the operator's own
    /// certificates; nil if they are not examined.
    package init(of store: any StateStore, machine: String, now: Int64, files: SecretReader? = nil) throws {
        snapshot = try store.snapshot()
        gateways = FleetStatus(try store.nodes(), revision: snapshot.revision, now: now)
        let chains = try store.chainFindings(now: now, files: files)
        hosts = HostStatus.all(in: snapshot, chainFaults: chains.faults, chainDoubts: chains.doubts, now: now)
        let failed = try store.renewals().filter { $0.failures > 0 }.sorted { $0.certificate < $1.certificate }
        // `ManagedState` reads every host, so it is made only if a certificate could not be obtained.
        let state = try failed.isEmpty ? nil : ManagedState(store)
        let hasGateway = !gateways.alive.isEmpty
        failing = failed.map {
            FailingCertificate(
                $0, nextTryAt: state?.nextTry(of: $0.certificate),
                isMissed: state?.isMissed($0.certificate, now: now) ?? true, hasGateway: hasGateway, now: now)
        }
        edge = try EdgeStatus.all(in: snapshot, store.edgePacks())
        let directory = FilePath(try store.directory() ?? ".")
        identities = try IdentityList(store, snapshot, gateways, directory: directory, machine: machine, now: now)
            .identities
        lists = RevocationListStatus.all(in: snapshot, directory: directory, now: now)
    }

    /// What must be mended, with the item that it concerns: its kind and its name.
    package var problems: [(item: String, problem: String)] {
        let running = gateways.alive.filter { $0.problems > 0 }.flatMap(reported)
        let missing = gateways.haveRun && gateways.alive.isEmpty ? [("gateway:gateway", "no gateway is running")] : []
        let missed = failing.filter(\.isMissed).map { failing in
            (
                "certificate:\(failing.progress.certificate)",
                "could not be obtained" + Self.tail(failing.progress.lastFailure)
            )
        }
        return missing + running + missed
            + edge.compactMap { edge in edge.problem.map { ("edge_certificate:\(edge.name)", $0) } }
            + identities.compactMap { identity in identity.problem.map { ("identity:\(identity.name)", $0) } }
            + lists.flatMap { list in list.problems.map { ("revocation_list:\(list.path)", $0) } }
            + hosts.compactMap { host in host.problem.map { ("host:\(host.name)", $0) } }
    }

    /// What a gateway reports, but for identities, whose own problems have it.
    private func reported(by node: GatewayNode) -> [(String, String)] {
        let gateway = "gateway:\(node.machine)"
        guard !node.troubles.isEmpty else {
            return [(gateway, "\(node.problems) items could not be put in force" + Self.tail(node.lastProblem))]
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
        hosts.contains { $0.problem != nil } || failing.contains(where: \.isMissed) || gateways.hasProblem
            || edge.contains { $0.problem != nil } || identities.contains { $0.problem != nil }
            || lists.contains(where: \.hasProblem)
    }
}

extension StateStore {
    /// What is wrong with the chains of certificates in force, by certificate name. `faults` say why clients refuse a
    /// chain. `doubts` say what some clients refuse, or all will; they are looked for if `files` reads the operator's own
    /// certificates. `now` is in seconds since 1970.
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
