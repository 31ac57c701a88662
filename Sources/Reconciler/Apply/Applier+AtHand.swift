import ConfigModel
import Issuers
import PKI
import State

extension Applier {
    /// A plan with the certificates that it needs nobody for.
    struct AtHand {
        /// The plan in which certificates whose keys do not open are obtained anew.
        var plan: Plan
        /// What has certificates go on under other names, by the new one's item.
        var heirs: [ItemID: [StateMutation]] = [:]
        /// What puts kept certificates in force until those are stored that are ordered in their place.
        var standIns: [StateMutation] = []
    }

    /// Looks whether the certificates that a plan uses again can be used, and seals those for their new names that go on under one.
    func atHand(_ plan: Plan, of configuration: Configuration) throws -> AtHand {
        let reused = plan.changes.indices.filter {
            plan.changes[$0].action == .create && plan.changes[$0].isAtHand || plan.changes[$0].standIn != nil
        }
        var result = AtHand(plan: plan)
        guard !reused.isEmpty else { return result }
        let names = Set(reused.map { plan.changes[$0].formerName })
        var kept: [String: StoredCertificate] = [:]
        try store.forEachKeptCertificate { if names.contains($0.name) { kept[$0.name] = $0 } }
        for index in reused {
            let change = plan.changes[index]
            guard let declared = change.declared else { continue }
            let name = change.formerName
            do {
                // The commit says so if it is there no longer.
                guard let former = try kept[name] ?? store.certificate(named: name) else { continue }
                let key = try former.openKey(sealer)
                guard name != change.item.name else {
                    if change.standIn != nil { result.standIns.append(.restoreCertificate(name: name)) }
                    continue
                }
                var heir = former
                heir.name = change.item.name
                heir.owner = .file
                if change.predecessor != nil {
                    heir.record = configuration.record(of: declared)
                    heir.facts.autoRenew = configuration.renewsAutomatically(declared)
                }
                heir.sealedKey = try sealer.sealKey(
                    key, ofCertificate: heir.name, fingerprint: heir.facts.fingerprint)
                let purge = kept[name] == nil ? [] : [StateMutation.purgeCertificate(name: name)]
                let mutations = [.putCertificate(heir)] + purge
                if change.standIn == nil {
                    result.heirs[change.item] = mutations
                } else {
                    result.standIns += mutations
                }
            } catch let error as StateError {
                throw error
            } catch {
                progress(
                    .warning(change.item, "is obtained anew, since what was kept can't be used: \(error)"))
                result.plan.changes[index].isKept = false
                result.plan.changes[index].predecessor = nil
                result.plan.changes[index].standIn = nil
                result.plan.changes[index].former = nil
                result.plan.changes[index].exists = false
                result.plan.changes[index].action = declared.creation
            }
        }
        return result
    }
}

extension Change {
    /// The name under which the certificate that is used was stored or kept.
    fileprivate var formerName: String { predecessor ?? standIn ?? item.name }
}
