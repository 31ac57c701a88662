import State

/// The running gateways of a state, and whether each serves the newest revision.
package struct FleetStatus: Sendable {
    package let alive: [GatewayNode]
    /// Whether the state lists gateways at all; some may be dead.
    package let haveRun: Bool
    private let revision: Int
    private let now: Int64

    /// The gateways of a state. `nodes` must be read after `revision`: otherwise a gateway that serves that revision
    /// could seem to serve an older one. `now` is in seconds since 1970.
    package init(_ nodes: [GatewayNode], revision: Int, now: Int64) {
        alive = nodes.filter { $0.isAlive(at: now) }
        haveRun = !nodes.isEmpty
        self.revision = revision
        self.now = now
    }

    /// Whether a running gateway reports problems, or the state lists gateways and none of them is running.
    package var hasProblem: Bool { haveRun && alive.isEmpty || alive.contains { $0.problems > 0 } }

    /// What running gateways report of an item, each with the gateway's machine.
    package func reports(of item: ItemID) -> [String] {
        alive.flatMap { node in
            node.troubles.filter { $0.item == item }.map { "gateway '\(node.machine)': \($0.text)" }
        }
    }

    package func isUpToDate(_ node: GatewayNode) -> Bool { node.position.revision >= revision }

    /// Seconds since the last heartbeat; 0 when the clock of the gateway's machine is ahead of this machine's clock.
    package func age(_ node: GatewayNode) -> Int { Int(max(0, now - node.heartbeatAt)) }
}
