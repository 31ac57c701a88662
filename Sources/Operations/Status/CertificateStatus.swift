import Reconciler
import State

/// A certificate that clients get although it is no host's own, and what is wrong with it.
package struct CertificateStatus: Sendable {
    package let name: String
    package let condition: CertificateCondition

    /// The certificates among `conditions` that are no host's own but are served, sorted by name.
    static func all(
        _ conditions: [String: CertificateCondition], besides hosts: [HostStatus], in store: any StateStore
    ) throws(StateError) -> [CertificateStatus] {
        guard !conditions.isEmpty else { return [] }
        let used = Set(hosts.compactMap(\.ownCertificate))
        var found: [CertificateStatus] = []
        for (name, condition) in conditions.sorted(by: { $0.key < $1.key }) where !used.contains(name) {
            guard let stored = try store.certificate(named: name),
                try !CertificateUse(of: stored, in: store).freeNames.isEmpty
            else { continue }
            found.append(CertificateStatus(name: name, condition: condition))
        }
        return found
    }
}

extension StateSnapshot {
    /// What is wrong with the certificates in force, by name. Those with nothing wrong are left out. `chainFaults` says
    /// why clients refuse chains, by certificate name. `now` is in seconds since 1970.
    func conditions(chainFaults: [String: String], now: Int64) -> [String: CertificateCondition] {
        var found: [String: CertificateCondition] = [:]
        for (id, item) in items {
            guard let facts = item.certificate else { continue }
            let condition = CertificateCondition(of: facts, chainFault: chainFaults[id.name], now: now)
            if !condition.isGood { found[id.name] = condition }
        }
        return found
    }
}
