import Issuers
import Materials
import PKI
import State
import Vault

/// How identities are stored in the state and shared with the other gateways.
extension VaultRound {
    /// Adopts identities from the state, which an earlier process or another gateway has obtained. Does nothing if the
    /// state has not changed.
    func readState(_ now: Int64) {
        guard let store = desk.store, let data = try? store.dataVersion() else { return }
        if let seen, seen == (ObjectIdentifier(store), data) { return }
        for name in entries.keys { adopt(name, from: store, now) }
        seen = (ObjectIdentifier(store), data)
    }

    /// Adopts the identity that the state has, if it differs from the one that was last read.
    func adopt(_ name: String, from store: any StateStore, _ now: Int64) {
        guard let entry = entries[name], let work, let row = try? store.obtainedIdentity(name), row != entry.row else {
            return
        }
        entries[name]?.row = row
        do {
            let identity = try row.identity(work.sealer, now: now)
            let isNews = identity.version != entry.identity?.version || entry.hasToldFailure
            entries[name]?.identity = identity
            entries[name]?.plan.adopted(present(identity, row))
            guard isNews, row.declaration == entry.declaration.digest else { return }
            log.info("the identity '\(name)' was read from the state", [("not_after", UTCTime.text(identity.notAfter))])
            deliver(identity, name)
        } catch {
            log.warning("the stored material of the identity '\(name)' can't be used: \(error)")
        }
    }

    /// Holds the lease of an identity while `body` obtains the identity. If another gateway has obtained it meanwhile,
    /// `body` is called only if `isNeeded` still returns true.
    ///
    /// If the state can't be used, `body` is called without a lease, but only if the identity is missing or about to
    /// expire.
    func exclusively(
        _ name: String, isNeeded: (VaultIdentityPlan) -> Bool, _ body: ((any StateStore)?) throws -> Void
    ) throws {
        guard let store = desk.store else {
            guard entries[name]?.plan.isUrgent(at: GatewayServer.now) == true else {
                throw IdentityFault("the state can't be used now")
            }
            return try body(nil)
        }
        do {
            try desk.holdingLease(of: name, in: store) {
                // If the state is sealed with another key than `work` has, the control side will send the new key soon.
                let keyID = try store.setting(.sealingKeyID).map { String(decoding: $0, as: UTF8.self) }
                guard keyID == nil || keyID == work?.sealer.key.id else {
                    entries[name]?.plan.isHeldByAnother(at: GatewayServer.now)
                    return
                }
                adopt(name, from: store, GatewayServer.now)
                guard let plan = entries[name]?.plan, isNeeded(plan) else { return }
                try body(store)
            }
        } catch is LeaseKeeper.Held {
            entries[name]?.plan.isHeldByAnother(at: GatewayServer.now)
        }
    }

    /// Stores a new identity and puts it in force, unless the identity has another declaration by now.
    func accept(_ identity: Identity, _ name: String, secretVersion: Int64? = nil) throws {
        guard let entry = entries[name], let work, desk.wants(name, entry.declaration.digest) else { return }
        let now = GatewayServer.now
        let row = try ObtainedIdentity(
            name: name, declaration: entry.declaration.digest, identity, secretVersion: secretVersion,
            sealer: work.sealer, now: now)
        entries[name]?.identity = identity
        entries[name]?.unstored = row
        entries[name]?.plan.obtained(present(identity, row), at: now)
        // The identity is stored first and delivered then. So an identity in force is also in the state, unless storing
        // has failed.
        store(row, name)
        deliver(identity, name)
        log.info(
            "the identity '\(name)' was obtained from Vault '\(vault)'",
            [("not_after", UTCTime.text(identity.notAfter))])
    }

    /// Tries again to store identities that could not be stored before.
    func storeUnstored() {
        for (name, entry) in entries {
            if let row = entry.unstored, desk.store != nil { store(row, name, isRepeated: true) }
        }
    }

    private func store(_ row: ObtainedIdentity, _ name: String, isRepeated: Bool = false) {
        guard let store = desk.store else { return }
        do {
            // `exclusively` usually holds the lease already.
            try desk.holdingLease(of: name, in: store) {
                try store.putObtainedIdentity(row, by: LeaseHolder.current())
            }
            entries[name]?.row = row
            entries[name]?.unstored = nil
        } catch StateError.leaseLost, StateError.changedMeanwhile, is LeaseKeeper.Held {
            // Another gateway holds the lease and stores an identity of its own, or the identity is no longer declared.
            entries[name]?.unstored = nil
        } catch {
            if !isRepeated { log.warning("the identity '\(name)' can't be stored, and is only in memory: \(error)") }
        }
    }

    private func present(_ identity: Identity, _ row: ObtainedIdentity) -> VaultIdentityPlan.Present {
        VaultIdentityPlan.Present(row, identity, jitter: hash(of: row.name))
    }
}
