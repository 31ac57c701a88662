import Materials
import PKI
import State

/// Identities from Vaults. Each Vault has a `VaultKeeper`, which obtains its identities on a thread of its own.
extension GatewayServer {
    /// Passes the present settings to the keepers. A keeper is started for each Vault that an identity comes from. The
    /// keepers of other Vaults are stopped.
    func keepVaults() {
        guard !isEnding, let sealer else { return }
        let declarations = compiler.materials.declarationsByVault
        guard !declarations.isEmpty || !vaultKeepers.isEmpty else { return }
        vaultDesk.lend(issuanceStore())
        vaultDesk.want(declarations.values.reduce(into: [:]) { $0.merge($1.mapValues(\.digest)) { $1 } })
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
                vaultKeepers[name]?.work = work
                if entry.keeper.keep(work) { continue }
                entry.keeper.stop()
                vaultKeepers[name] = nil
            }
            do {
                let keeper = try VaultKeeper(name, work, desk: vaultDesk, log: log, jitter: vaultJitter)
                vaultKeepers[name] = (keeper, work)
            } catch {
                log.error("identities from Vault '\(name)' can't be obtained now: \(error)")
            }
        }
    }

    /// Makes the keepers check their Vaults for changes at once.
    func lookAtVaults() {
        for entry in vaultKeepers.values { entry.keeper.lookNow() }
    }

    func stopVaults() {
        for entry in vaultKeepers.values { entry.keeper.stop() }
        vaultKeepers = [:]
        vaultDesk.lend(nil)
    }

    /// A number that differs between gateways, so that gateways don't call a Vault at the same time.
    private var vaultJitter: UInt64 {
        Digest.sha256(Array("\(node.machine) \(options.statePath)".utf8)).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Gives the keepers the client certificates with which they log in to Vaults.
    private func showCredentials() {
        let names = Set(compiler.vaults.values.compactMap(\.login.identity))
        let found = names.compactMap { name in compiler.materials.identity(name).map { (name, $0.credential) } }
        vaultDesk.show(Dictionary(found) { $1 })
    }

    /// Returns a function that finds the stored form of an identity from a Vault. The function parses an identity only
    /// when it is called, since parsing is slow.
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
                log.warning("the stored material of the identity '\(name)' can't be used: \(error)")
                return nil
            }
        }
    }
}
