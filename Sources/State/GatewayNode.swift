/// A running gateway, as it reports itself.
///
/// Its row is no part of what is served, so reporting does not raise the revision.
package struct GatewayNode: Sendable, Equatable {
    /// How often a node reports, in seconds.
    package static let heartbeatSeconds: Int64 = 3
    /// A node whose last report is as old as this, in seconds, is taken for dead.
    package static let livenessSeconds: Int64 = 10
    /// The row of a node that has been dead for as long as this, in seconds, is removed by whoever reports.
    package static let forgottenSeconds: Int64 = 86_400

    /// What a node is doing.
    package enum Phase: String, Sendable {
        /// It has no state in force yet, or its listeners are not bound.
        case starting
        /// It serves.
        case ready
        /// It finishes what it has begun and accepts nothing new.
        case draining
    }

    /// Its identity: made when it starts, and never used again.
    package var id: String
    /// The machine's name.
    package var machine: String
    /// The process's number on that machine.
    package var process: Int
    /// The version of the program.
    package var version: String
    /// When it started, in seconds since 1970.
    package var startedAt: Int64
    /// When it last reported, in seconds since 1970.
    package var heartbeatAt: Int64
    /// Which state it has in force.
    package var position: StatePosition
    /// What it is doing.
    package var phase: Phase
    /// How many items it could not put in force, and serves as they were before.
    package var problems: Int
    /// The latest of these problems in a line; nil when there is none. Never a secret.
    package var lastProblem: String?

    /// A node.
    package init(
        id: String, machine: String, process: Int, version: String, startedAt: Int64, heartbeatAt: Int64,
        position: StatePosition = .start, phase: Phase = .starting, problems: Int = 0, lastProblem: String? = nil
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
    }

    /// A new identity: 128 random bits in lower-case hex.
    package static func makeID() -> String {
        (0..<2).map { _ in
            let digits = String(UInt64.random(in: .min ... .max), radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    /// Whether it still runs, as far as its reports tell.
    package func isAlive(at now: Int64) -> Bool { now - heartbeatAt < Self.livenessSeconds }

    /// Whether it serves what comes, challenges among that.
    package func isServing(at now: Int64) -> Bool { phase == .ready && isAlive(at: now) }
}
