import ConfigModel
import Materials
import State

/// Identities, the Vaults they come from, and the node whose ID they contain.
extension StateCompiler {
    /// Sets the settings of a Vault. If they have changed, the identities from this Vault are declared again.
    mutating func compileVault(_ id: ItemID, _ item: StoredItem, _ update: inout TableUpdate) {
        guard var settings = read(VaultServer.self, of: id, item) else { return }
        settings.name = id.name
        guard settings != vaults.updateValue(settings, forKey: id.name) else { return }
        for name in materials.identityNames {
            guard let identity = materials.settings(of: name), identity.vaultName == id.name else { continue }
            declare(identity, &update)
        }
    }

    mutating func compileIdentity(_ id: ItemID, _ item: StoredItem, _ update: inout TableUpdate) {
        guard var settings = read(NamedIdentity.self, of: id, item) else { return }
        settings.name = id.name
        // A development identity contains the node's ID, which is read later. So the identity is declared after that.
        if case .development = settings.source {
            heldIdentities.append(settings)
        } else {
            declare(settings, &update)
        }
    }

    /// Declares the development identities that were held until the node's ID is known.
    mutating func declareHeldIdentities(_ update: inout TableUpdate) {
        guard !heldIdentities.isEmpty else { return }
        let held = heldIdentities
        heldIdentities = []
        for settings in held { declare(settings, &update) }
    }

    private mutating func declare(_ settings: NamedIdentity, _ update: inout TableUpdate) {
        let id = ItemID(.identity, settings.name)
        do {
            let source = try settings.materials(of: node, machine: machine, vaults: vaults)
            materials.declare(settings, source, now: GatewayServer.now)
        } catch {
            problems[id] = "\(error)"
            return
        }
        renewTrust(of: id.name, &update)
    }

    /// Sets the node's settings. Development identities contain the node's ID, so they are declared again.
    mutating func setNode(_ settings: NodeSettings?, _ update: inout TableUpdate) {
        node = settings
        for name in materials.identityNames {
            guard let settings = materials.settings(of: name), case .development = settings.source else { continue }
            declare(settings, &update)
        }
    }

    /// Makes the rules again by which peers are verified with this identity, and the certificate that upstreams see.
    /// Adds what has changed to the update.
    mutating func renewTrust(of identity: String, _ update: inout TableUpdate) {
        let renewed = renewTrust(after: PeerMaterials.Change(identities: [identity]))
        update.clientTrusts += renewed.clients
        for (number, trust) in renewed.upstreams {
            guard let definition = upstreams.definition(number, trust) else { continue }
            update.upstreams.removeAll { $0.number == number }
            update.upstreams.append(definition)
        }
    }
}
