import ConfigModel
import Issuers
import PKI
import State

extension Applier {
    /// A plan, and the mutations for the certificates that the plan reuses. Such a certificate is at hand: the state
    /// has it already, stored or kept, so no CA must issue it.
    struct AtHand {
        /// The plan. A certificate whose stored key can't be opened is issued instead of reused.
        var plan: Plan
        /// Mutations that store a reused certificate under its new name. The key is the item of the new name.
        var heirs: [ItemID: [StateMutation]] = [:]
        /// The mutations that put kept certificates in force, each until the newly ordered certificate is stored.
        var standIns: [StateMutation] = []
    }

    /// Checks that the keys of the certificates which the plan reuses can be opened. Reseals the key of a certificate
    /// that gets another name.
    func atHand(_ plan: Plan, of configuration: Configuration) throws -> AtHand {
        let reused = plan.changes.indices.filter {
            plan.changes[$0].action == .create && plan.changes[$0].isAtHand || plan.changes[$0].predecessor != nil
                || plan.changes[$0].standIn != nil
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
                // Another process may have deleted the certificate since the plan was made. Then there is no key to
                // check.
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
                let replaced = try change.keepsFormer ? context.keepReplaced(change.item.name) : []
                let mutations = replaced + [.putCertificate(heir)] + purge
                if change.standIn == nil {
                    result.heirs[change.item] = mutations
                } else {
                    result.standIns += mutations
                }
            } catch let error as StateError {
                throw error
            } catch {
                progress(
                    .warning(change.item, "is ordered again, since the kept certificate can't be used: \(error)"))
                result.plan.changes[index].isKept = false
                if change.exists, change.predecessor != nil {
                    result.plan.changes[index].predecessor = nil
                    result.plan.changes[index].work = declared.replacement
                    continue
                }
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
    /// The name under which the reused certificate is stored or kept before the change.
    fileprivate var formerName: String { predecessor ?? standIn ?? item.name }
}

extension IssuanceContext {
    /// The mutations that keep the certificate in force with this name for reuse, before another one replaces it. Empty
    /// if there is none, or if its key can't be opened.
    func keepReplaced(_ name: String) throws(StateError) -> [StateMutation] {
        guard let former = try store.certificate(named: name) else { return [] }
        let kept = KeptCertificate.name(replaced: name, fingerprint: former.facts.fingerprint)
        guard let key = try? former.openKey(sealer),
            let sealed = try? sealer.sealKey(key, ofCertificate: kept, fingerprint: former.facts.fingerprint)
        else { return [] }
        return [.keepReplaced(name: name, as: kept, sealedKey: sealed, since: now())]
    }
}
