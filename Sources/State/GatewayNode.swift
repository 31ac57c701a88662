/// A running gateway's report about itself, stored as a row of the state.
///
/// Reports do not raise the revision, since they change nothing that gateways serve.
package struct GatewayNode: Sendable, Equatable {
    /// How often a node reports, in seconds.
    package static let heartbeatSeconds: Int64 = 3
    /// A node whose last report is at least this old, in seconds, counts as dead.
    package static let livenessSeconds: Int64 = 10
    /// A dead node's row is removed this many seconds after its last report, when any node reports next.
    package static let forgottenSeconds: Int64 = 86_400

    package enum Phase: String, Sendable {
        /// The gateway serves no state yet, or its listening sockets are not bound.
        case starting
        case ready
        /// The gateway finishes open requests and accepts no new connections.
        case draining
    }

    /// A random identity, made at the start and never reused.
    package var id: String
    package var machine: String
    /// The process ID on `machine`.
    package var process: Int
    package var version: String
    /// When the gateway started, in seconds since 1970.
    package var startedAt: Int64
    /// When the gateway last reported, in seconds since 1970.
    package var heartbeatAt: Int64
    /// The revision and generation that the gateway serves.
    package var position: StatePosition
    package var phase: Phase
    /// How many items the gateway could not put in force. It serves their former versions.
    package var problems: Int
    /// The latest problem with such an item, in one line; nil when there is none. Never contains secrets.
    package var lastProblem: String?
    /// What the gateway could not put in force, the most serious first: at most `mostTroubles` of them.
    package var troubles: [Trouble]

    package static let mostTroubles = 20

    /// Something that a gateway could not put in force.
    package struct Trouble: Sendable, Equatable {
        /// The item that the trouble concerns; nil if it concerns several items, or none.
        package let item: ItemID?
        /// What is wrong, in one line. Never contains secrets.
        package let text: String

        package init(_ text: String, item: ItemID? = nil) { (self.text, self.item) = (text, item) }
    }

    package init(
        id: String, machine: String, process: Int, version: String, startedAt: Int64, heartbeatAt: Int64,
        position: StatePosition = .start, phase: Phase = .starting, problems: Int = 0, lastProblem: String? = nil,
        troubles: [Trouble] = []
    ) {
        self.id = id
        self.machine = machine
        self.process = process
        self.version = version
        self.startedAt = startedAt
        self.heartbeatAt = heartbeatAt
        self.position = position
        self.phase = phase
        self.problems = problems
        self.lastProblem = lastProblem
        self.troubles = troubles
    }

    /// A new identity: 128 random bits in lower-case hex.
    package static func makeID() -> String {
        (0..<2).map { _ in
            let digits = String(UInt64.random(in: .min ... .max), radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    /// Whether the last report is so recent that the gateway counts as alive.
    package func isAlive(at now: Int64) -> Bool { now - heartbeatAt < Self.livenessSeconds }

    /// Whether the gateway answers requests, including those with which CAs validate challenges.
    package func isServing(at now: Int64) -> Bool { phase == .ready && isAlive(at: now) }
}
