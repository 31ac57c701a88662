import ConfigModel
import State
import SystemPackage

/// The identities of a state, read on this machine in the same way as the gateway reads them, with what running
/// gateways report of them. No file is created or changed.
package struct IdentityList: Sendable {
    package let identities: [LoadedIdentity]

    /// `obtained` are the identities that gateways have obtained from Vaults. Relative paths start at `directory`.
    private init(
        _ snapshot: StateSnapshot, _ obtained: [ObtainedIdentity], _ gateways: FleetStatus, directory: FilePath,
        machine: String, now: Int64
    ) {
        let items = snapshot.items.filter { $0.key.kind == .identity }.sorted { $0.key < $1.key }
        guard !items.isEmpty else {
            identities = []
            return
        }
        let node = snapshot.items[ItemID(single: .node)].flatMap { NodeSettings(record: $0.record) }
        let stored = Dictionary(obtained.map { ($0.name, $0) }) { $1 }
        identities = items.map { id, item in
            var settings = NamedIdentity(record: item.record)
            settings?.name = id.name
            var identity = LoadedIdentity(
                id.name, settings, node, stored[id.name], in: directory, machine: machine, now: now)
            identity.note(gateways.reports(of: id), haveGateways: !gateways.alive.isEmpty)
            return identity
        }
    }

    /// `gateways` tells what running gateways report. `machine` is this machine's name, `now` is in seconds since 1970.
    package init(
        _ store: any StateStore, _ snapshot: StateSnapshot, _ gateways: FleetStatus, directory: FilePath,
        machine: String, now: Int64
    ) throws {
        self.init(
            snapshot, try store.obtainedIdentities(), gateways, directory: directory, machine: machine, now: now)
    }
}
