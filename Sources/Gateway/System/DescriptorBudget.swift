import ConfigModel

/// How many clients may be connected at the same time, given the process's limit of open descriptors.
package struct DescriptorBudget: Equatable {
    /// How many descriptors are not counted for client connections and the upstream connection of each. They are for
    /// files, the state, name resolution, calls to CAs, admin requests, and idle connections to upstreams.
    static let kept = 256
    /// How many descriptors each worker needs for its own use, such as its event loop and its mailbox.
    private static let eachWorker = 4

    /// How many descriptors a gateway has open before it has workers: the standard streams, the state, mailboxes,
    /// signals.
    private static let ofProcess = 20
    /// The fewest client connections with which a gateway starts.
    private static let leastConnections = 8

    /// How many descriptors the process may have open.
    let descriptors: Int
    private let workers: Int
    private let listeners: Int
    /// The limit of client connections that aegis.yaml sets.
    let wanted: Int
    /// The limit of client connections in force. It may be lower than `wanted`.
    package let connections: Int
    /// The largest number of connections from one client. Nil means that only `connections` limits them.
    package let perClient: Int?
    /// Whether the limit for one client in aegis.yaml has no effect, because it is not below the limit for all clients.
    private let isMoot: Bool
    /// If a new connection's descriptor is not below this number, another connection is closed to free a descriptor.
    package let ceiling: Int

    /// By default one client may have a quarter of all connections, but at most 1000. So a single client can't use up
    /// all connections.
    private static let clientsAtLeast = 4
    private static let mostPerClient = 1000

    /// Divides the descriptors between client connections and other uses.
    ///
    /// - Parameters:
    ///   - perClient: The limit for one client in aegis.yaml. Nil if it is not set; 0 for no limit.
    ///   - listeners: The number of listening addresses. Each needs a socket in every worker, and two during a
    ///     handover.
    package init(descriptors: Int, wanted: Int, perClient: Int? = nil, workers: Int, listeners: Int) {
        self.descriptors = descriptors
        self.wanted = wanted
        (self.workers, self.listeners) = (workers, listeners)
        // If the process may have only few descriptors open, half of them are still for connections.
        let kept = min(Self.kept + workers * (Self.eachWorker + 2 * listeners), descriptors / 2)
        // Each client connection may need a second descriptor, for a connection to an upstream. Idle connections to
        // upstreams may use half of `kept`.
        connections = max(1, min(wanted, (descriptors - kept) / 2))
        ceiling = descriptors - kept / 2
        let share = max(1, min(Self.mostPerClient, connections / Self.clientsAtLeast))
        self.perClient = perClient == 0 ? nil : min(perClient ?? share, connections)
        isMoot = perClient ?? 0 >= connections
    }
}

extension DescriptorBudget {
    /// The fewest descriptors with which a gateway starts. Of so few descriptors, `init` keeps one half, and `ceiling`
    /// is at three quarters. So client connections can't use the last quarter, hence the factor 4/3.
    package static func needed(workers: Int, listeners: Int) -> Int {
        let own = ofProcess + workers * (eachWorker + listeners)
        return (own + 2 * leastConnections) * 4 / 3
    }

    /// Why the process can't serve with its descriptors; nil if it can.
    package var shortage: DescriptorShortage? {
        DescriptorShortage(descriptors, workers: workers, listeners: listeners)
    }

    /// Uses the limits that aegis.yaml sets.
    init(descriptors: Int, _ limits: GatewayLimits, workers: Int, listeners: Int) {
        self.init(
            descriptors: descriptors, wanted: limits.connections, perClient: limits.connectionsPerClient,
            workers: workers, listeners: listeners)
    }
}

extension DescriptorBudget: CustomStringConvertible {
    /// Describes the limits in force, for the log. If a limit is lower than wanted, the reason is included.
    package var description: String {
        var text = "at most \(connections) connections of clients at once"
        if connections < wanted {
            text += ", not \(wanted): each may take two of the \(descriptors) descriptors that this process may have"
            text += " (raise the limit, as LimitNOFILE= of a unit or ulimit -n)"
        }
        if isMoot {
            text += "; one client may have all of them, since limits.connections_per_client is not below that"
            text += " (lower it, or leave it out)"
        } else if let perClient {
            text += "; one client may have \(perClient) of them"
        }
        return text
    }

    /// Whether a limit in aegis.yaml is lowered or has no effect. Then `description` is logged as a warning.
    package var isShort: Bool { connections < wanted || isMoot }
}

/// A limit of descriptors that is too low to serve.
package struct DescriptorShortage: Error, CustomStringConvertible {
    package let description: String

    /// Nil if the process may have enough descriptors for the smallest gateway.
    package init?() { self.init(DescriptorLimit.current, workers: 1, listeners: 2) }

    /// Nil if there are enough descriptors.
    init?(_ descriptors: Int, workers: Int, listeners: Int) {
        let needed = DescriptorBudget.needed(workers: workers, listeners: listeners)
        guard descriptors < needed else { return nil }
        description =
            "this process may have \(descriptors) descriptors open, and the gateway needs \(needed)"
            + " (workers: \(workers), listening addresses: \(listeners)): raise the limit, as LimitNOFILE= of a unit or ulimit -n"
    }
}
