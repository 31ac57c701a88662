import ConfigModel
import State

/// The gateways that run, as `status` shows them: whether what was applied is live on each.
struct GatewayList {
    private let alive: [GatewayNode]
    private let haveRun: Bool
    private let snapshot: StateSnapshot
    private let now: Int64

    /// The gateways of a state. `nodes` are read after `snapshot`, so that none of them is called behind for being ahead.
    init(_ nodes: [GatewayNode], _ snapshot: StateSnapshot, now: Int64) {
        alive = nodes.filter { $0.isAlive(at: now) }
        haveRun = !nodes.isEmpty
        self.snapshot = snapshot
        self.now = now
    }

    /// Whether those that run have problems, or none of those that have run does.
    var hasProblem: Bool { haveRun && alive.isEmpty || alive.contains { $0.problems > 0 } }

    /// A line for each and an empty one; nothing when none has ever run.
    var text: String {
        guard haveRun else { return "" }
        guard !alive.isEmpty else { return "problem: no gateway is running\n\n" }
        return TextTable(
            ["GATEWAY", "PROCESS", "VERSION", "GENERATION", "STATE", "SEEN", "PROBLEM"], alive.map(cells)
        ).text + "\n"
    }

    /// All of it as data.
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

    /// Another machine's clock may be ahead of ours.
    private func age(_ node: GatewayNode) -> Int { Int(max(0, now - node.heartbeatAt)) }
}
