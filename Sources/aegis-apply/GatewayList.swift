import ConfigModel
import Operations
import State

/// The running gateways, as `status` shows them, and whether each serves the newest revision.
struct GatewayList {
    private let gateways: FleetStatus
    private var alive: [GatewayNode] { gateways.alive }

    init(_ gateways: FleetStatus) { self.gateways = gateways }

    /// A line for each gateway, one for each further problem, and an empty line; empty when the state lists no gateway.
    var text: String {
        guard gateways.haveRun else { return "" }
        guard !alive.isEmpty else { return "problem: no gateway is running\n\n" }
        return TextTable(
            ["GATEWAY", "PROCESS", "VERSION", "GENERATION", "STATE", "SEEN", "PROBLEM"], alive.map(cells)
        ).text + alive.map(Self.further).joined() + "\n"
    }

    /// A line for each problem of a gateway, except the problem that its line in the table shows.
    private static func further(_ node: GatewayNode) -> String {
        guard !node.troubles.isEmpty else { return "" }
        let others = node.troubles.filter { $0.text != node.lastProblem }.map(\.text)
        let left = node.problems - node.troubles.count
        return (others + (left > 0 ? ["\(left) more; its log names them"] : [])).map {
            "problem: gateway '\(node.machine)' \(node.process): \($0)".printable + "\n"
        }.joined()
    }

    /// The gateways for `--format json`.
    var value: PlainValue { .list(alive.map(value)) }

    private func cells(_ node: GatewayNode) -> [String] {
        let currency = gateways.isUpToDate(node) ? "up to date" : "behind"
        let last = node.lastProblem.map { ": " + $0 } ?? ""
        return [
            node.machine, "\(node.process)", node.version, "\(node.position.generation)",
            node.phase == .ready ? currency : "\(currency), \(node.phase.rawValue)", "\(gateways.age(node)) s ago",
            node.problems == 0 ? "" : "\(node.problems)\(last)",
        ]
    }

    private func value(_ node: GatewayNode) -> PlainValue {
        .map([
            ("id", .string(node.id)), ("machine", .string(node.machine)), ("process", .int(node.process)),
            ("version", .string(node.version)), ("started_at", .string(UTCTime.rfc3339(node.startedAt))),
            ("heartbeat_age_seconds", .int(gateways.age(node))), ("generation", .int(node.position.generation)),
            ("revision", .int(node.position.revision)), ("up_to_date", .bool(gateways.isUpToDate(node))),
            ("phase", .string(node.phase.rawValue)), ("problems", .int(node.problems)),
            ("last_problem", node.lastProblem.map(PlainValue.string) ?? .null),
            ("troubles", .list(node.troubles.map { .string($0.text) })),
        ])
    }
}
