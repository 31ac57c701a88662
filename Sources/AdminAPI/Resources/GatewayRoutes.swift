import ConfigModel
import State

/// The gateways that use this state.
enum GatewayRoutes {
    static let all: [Route] = [
        .reading(
            "/api/v1/nodes", "listNodes", "The gateways that have reported in the last day, and which state they serve",
            .page(of: form)
        ) { call in
            // The revision is read first. In the other order, a commit in between would make a node that is up to date
            // look outdated.
            let revision = try call.store.revision()
            let nodes = try call.store.nodes()
            return Page(items: nodes.map { (node: $0, revision: revision, now: call.now) }, next: nil)
        }
    ]

    private typealias View = (node: GatewayNode, revision: Int, now: Int64)

    private static let form = JSONForm<View>.object(
        "Node", "A gateway",
        [
            JSONMember("id", .text, "Made at its start, and never used again") { $0.node.id },
            JSONMember("machine", .text, "The machine's name") { $0.node.machine },
            JSONMember("process", .integer, "Its process ID there") { $0.node.process },
            JSONMember("version", .text, "The program's version") { $0.node.version },
            JSONMember("started_at", .time, "When it started") { $0.node.startedAt },
            JSONMember("heartbeat_at", .time, "When it last reported") { $0.node.heartbeatAt },
            JSONMember("is_alive", .flag, "Whether that is recent enough for it to be running") {
                $0.node.isAlive(at: $0.now)
            },
            JSONMember("phase", .word(["starting", "ready", "draining"]), "What it does") { $0.node.phase.rawValue },
            JSONMember("generation", .integer, "The generation that it serves") { $0.node.position.generation },
            JSONMember("revision", .integer, "The revision of the state that it serves") {
                $0.node.position.revision
            },
            JSONMember("is_up_to_date", .flag, "Whether that is the newest") {
                $0.node.position.revision >= $0.revision
            },
            JSONMember("problems", .integer, "How many items it could not put in force") { $0.node.problems },
            JSONMember("last_problem", .optional(.text), "The latest of these problems") { $0.node.lastProblem },
            JSONMember("troubles", .list(of: .text), "The first \(GatewayNode.mostTroubles) of them") {
                $0.node.troubles.map(\.text)
            },
        ])
}
