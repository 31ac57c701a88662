import ConfigModel
import State

/// The running gateways, as `status` shows them, and whether each serves the newest revision.
struct GatewayList {
    private let alive: [GatewayNode]
    private let haveRun: Bool
    private let snapshot: StateSnapshot
    private let now: Int64

    /// The gateways of a state. `nodes` must be read after `snapshot`: otherwise a gateway that serves the snapshot's
    /// revision could seem to serve an older one.
    init(_ nodes: [GatewayNode], _ snapshot: StateSnapshot, now: Int64) {
        alive = nodes.filter { $0.isAlive(at: now) }
        haveRun = !nodes.isEmpty
        self.snapshot = snapshot
        self.now = now
    }

    /// Whether a running gateway reports problems, or the state lists gateways and none of them is running.
    var hasProblem: Bool { haveRun && alive.isEmpty || alive.contains { $0.problems > 0 } }

    /// A line for each gateway and an empty line; empty when the state lists no gateway.
    var text: String {
        guard haveRun else { return "" }
        guard !alive.isEmpty else { return "problem: no gateway is running\n\n" }
        return TextTable(
            ["GATEWAY", "PROCESS", "VERSION", "GENERATION", "STATE", "SEEN", "PROBLEM"], alive.map(cells)
        ).text + "\n"
    }

    /// The gateways for `--format json`.
    var value: PlainValue { .list(alive.map(value)) }

    private func cells(_ node: GatewayNode) -> [String] {
        let currency = isUpToDate(node) ? "up to date" : "behind"
        let last = node.lastProblem.map { ": " + $0 } ?? ""
        return [
            node.machine, "\(node.process)", node.version, "\(node.position.generation)",
            node.phase == .ready ? currency : "\(currency), \(node.phase.rawValue)", "\(age(node)) s ago",
            node.problems == 0 ? "" : "\(node.problems)\(last)",
        ]
    }

    private func value(_ node: GatewayNode) -> PlainValue {
        .map([
            ("id", .string(node.id)), ("machine", .string(node.machine)), ("process", .int(node.process)),
            ("version", .string(node.version)), ("started_at", .string(UTCTime.rfc3339(node.startedAt))),
            ("heartbeat_age_seconds", .int(age(node))), ("generation", .int(node.position.generation)),
            ("revision", .int(node.position.revision)), ("up_to_date", .bool(isUpToDate(node))),
            ("phase", .string(node.phase.rawValue)), ("problems", .int(node.problems)),
            ("last_problem", node.lastProblem.map(PlainValue.string) ?? .null),
        ])
    }

    private func isUpToDate(_ node: GatewayNode) -> Bool { node.position.revision >= snapshot.revision }

    /// Seconds since the last heartbeat; 0 when the clock of the gateway's machine is ahead of this machine's clock.
    private func age(_ node: GatewayNode) -> Int { Int(max(0, now - node.heartbeatAt)) }
}
