import Materials
import PKI
import State

/// Identities that come from Vaults. `VaultKeeper`s obtain them, each on a thread of its own.
extension GatewayServer {
    /// Gives the keepers what they work with. Starts a keeper for each Vault that an identity comes from, and ends those
    /// of others.
    func keepVaults() {
        guard !isEnding, let sealer else { return }
        let declarations = compiler.materials.declarationsByVault
        guard !declarations.isEmpty || !vaultKeepers.isEmpty else { return }
        vaultDesk.lend(issuanceStore())
        showCredentials()
        for (name, entry) in vaultKeepers where declarations[name] == nil {
            entry.keeper.stop()
            vaultKeepers[name] = nil
        }
        for (name, identities) in declarations {
            guard let settings = compiler.vaults[name] else { continue }
            let work = VaultKeeper.Work(
                settings: settings, identities: identities, directory: compiler.directory, sealer: sealer)
            if let entry = vaultKeepers[name] {
                guard entry.work != work else { continue }
                entry.keeper.keep(work)
                vaultKeepers[name]?.work = work
                continue
            }
            do {
                let keeper = try VaultKeeper(name, work, desk: vaultDesk, log: log, jitter: vaultJitter)
                vaultKeepers[name] = (keeper, work)
            } catch {
                log.error("identities from Vault '\(name)' can't be obtained now: \(error)")
            }
        }
    }

    /// Looks for changes in Vaults at once.
    func lookAtVaults() {
        for entry in vaultKeepers.values { entry.keeper.lookNow() }
    }

    func stopVaults() {
        for entry in vaultKeepers.values { entry.keeper.stop() }
        vaultKeepers = [:]
        vaultDesk.lend(nil)
    }

    /// Spreads calls over the gateways.
    private var vaultJitter: UInt64 {
        Digest.sha256(Array("\(node.machine) \(options.statePath)".utf8)).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Shows the keepers the certificates that Vaults' logins need.
    private func showCredentials() {
        let names = Set(compiler.vaults.values.compactMap(\.login.identity))
        let found = names.compactMap { name in compiler.materials.identity(name).map { (name, $0.credential) } }
        vaultDesk.show(Dictionary(found) { $1 })
    }

    /// Finds what the state has of identities from Vaults. Each one is parsed when it is asked for, since that takes a
    /// moment.
    func storedIdentities(
        _ store: any StateStore, _ sealer: Sealer
    ) throws -> (String) -> (declaration: [UInt8], identity: Identity)? {
        let rows = Dictionary(try store.obtainedIdentities().map { ($0.name, $0) }) { $1 }
        let log = log
        return { name in
            guard let row = rows[name] else { return nil }
            do {
                return (row.declaration, try row.identity(sealer, now: Self.now))
            } catch {
                log.warning("what the state has for the identity '\(name)' can't be used: \(error)")
                return nil
            }
        }
    }
}
