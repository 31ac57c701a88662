import Issuers
import Materials
import PKI
import State
import Vault

/// What is stored, and shared with the other gateways of the state.
extension VaultRound {
    /// Takes identities that the state has: those of the last run, and those that other gateways have obtained.
    func readState(_ now: Int64) {
        guard let store = desk.store, let data = try? store.dataVersion() else { return }
        if let seen, seen == (ObjectIdentifier(store), data) { return }
        for name in entries.keys { adopt(name, from: store, now) }
        seen = (ObjectIdentifier(store), data)
    }

    /// Takes the identity that the state has, unless it is known.
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
            log.info("the identity '\(name)' is taken from the state", [("not_after", UTCTime.text(identity.notAfter))])
            deliver(identity, name)
        } catch {
            log.warning("what the state has for the identity '\(name)' can't be used: \(error)")
        }
    }

    /// Holds the lease of an identity while `body` obtains it. Another gateway may have done so meanwhile: then `body`
    /// is not called, unless `isNeeded` says that the identity must be obtained all the same.
    ///
    /// While the state can't be used, `body` is called without a lease if hosts wait for the identity, or will soon.
    func exclusively(
        _ name: String, isNeeded: (VaultIdentityPlan) -> Bool, _ body: ((any StateStore)?) throws -> Void
    ) throws {
        guard let store = desk.store else {
            guard entries[name]?.plan.isUrgent(at: GatewayServer.now) == true else {
                throw IdentityFault("the state can't be used now")
            }
            return try body(nil)
        }
        let lease: LeaseKeeper
        do {
            lease = try LeaseKeeper(.identity(name), in: store)
        } catch is LeaseKeeper.Held {
            entries[name]?.plan.isHeldByAnother(at: GatewayServer.now)
            return
        }
        defer { lease.release() }
        // While the state is sealed with another key than the one at hand, the control side is about to bring it.
        let keyID = try store.setting(.sealingKeyID).map { String(decoding: $0, as: UTF8.self) }
        guard keyID == nil || keyID == work?.sealer.key.id else {
            entries[name]?.plan.isHeldByAnother(at: GatewayServer.now)
            return
        }
        adopt(name, from: store, GatewayServer.now)
        guard let plan = entries[name]?.plan, isNeeded(plan) else { return }
        try body(store)
    }

    /// Puts an identity in force and stores it.
    func accept(_ identity: Identity, _ name: String, secretVersion: Int64? = nil) throws {
        guard let entry = entries[name], let work else { return }
        let now = GatewayServer.now
        let row = try ObtainedIdentity(
            name: name, declaration: entry.declaration.digest, identity, secretVersion: secretVersion,
            sealer: work.sealer, now: now)
        entries[name]?.identity = identity
        entries[name]?.unstored = row
        entries[name]?.plan.obtained(present(identity, row), at: now)
        // It is delivered only after the try to store it, so that what serves was stored if it could be.
        store(row, name)
        deliver(identity, name)
        log.info(
            "the identity '\(name)' was obtained from Vault '\(vault)'",
            [("not_after", UTCTime.text(identity.notAfter))])
    }

    /// Stores what could not be stored before.
    func storeUnstored() {
        for (name, entry) in entries {
            if let row = entry.unstored, desk.store != nil { store(row, name, isRepeated: true) }
        }
    }

    private func store(_ row: ObtainedIdentity, _ name: String, isRepeated: Bool = false) {
        guard let store = desk.store else { return }
        do {
            // The call of `accept` holds the lease already. The same process may take it again.
            let lease = isRepeated ? try LeaseKeeper(.identity(name), in: store) : nil
            defer { lease?.release() }
            try store.putObtainedIdentity(row, by: LeaseHolder.current())
            entries[name]?.row = row
            entries[name]?.unstored = nil
        } catch StateError.leaseLost, StateError.changedMeanwhile, is LeaseKeeper.Held {
            // Another gateway obtains it, and stores its own; or the identity is no longer declared.
            entries[name]?.unstored = nil
        } catch {
            if !isRepeated { log.warning("the identity '\(name)' can't be stored, and is only in memory: \(error)") }
        }
    }

    private func present(_ identity: Identity, _ row: ObtainedIdentity) -> VaultIdentityPlan.Present {
        VaultIdentityPlan.Present(row, identity, jitter: hash(of: row.name))
    }
}
