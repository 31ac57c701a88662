import ConfigModel

/// How many clients may be connected at once, given the limit of open descriptors.
package struct DescriptorBudget: Equatable {
    /// Descriptors that are not for clients: files, the state, name look-ups, calls to CAs, and admin requests.
    static let kept = 256
    /// Descriptors that each worker needs for itself, such as its event loop and its mailbox.
    private static let eachWorker = 4

    /// The process's limit of open descriptors.
    let descriptors: Int
    /// The limit of client connections in aegis.yaml.
    let wanted: Int
    /// The limit of client connections in force.
    package let connections: Int
    /// The limit of connections of one client; nil when only `connections` limits them.
    package let perClient: Int?
    /// Whether the limit for one client in aegis.yaml has no effect, because it is not below the limit for all clients.
    private let isMoot: Bool
    /// Connections to clients and upstreams get only descriptors below this number.
    package let ceiling: Int

    /// The default limit for one client: a quarter of all connections, at most 1000. A single client can then not use
    /// up all of them.
    private static let clientsAtLeast = 4
    private static let mostPerClient = 1000

    /// - Parameters:
    ///   - perClient: the limit for one client in aegis.yaml; nil when it is not set, 0 for no limit.
    ///   - listeners: the number of listening addresses. Each takes a socket in every worker, two during a handover.
    package init(descriptors: Int, wanted: Int, perClient: Int? = nil, workers: Int, listeners: Int) {
        self.descriptors = descriptors
        self.wanted = wanted
        // With a very low limit, half of the descriptors still go to connections.
        let kept = min(Self.kept + workers * (Self.eachWorker + 2 * listeners), descriptors / 2)
        // Each client may need a second descriptor for its upstream connection. Idle upstream connections may use half
        // of `kept`.
        connections = max(1, min(wanted, (descriptors - kept) / 2))
        ceiling = descriptors - kept / 2
        let share = max(1, min(Self.mostPerClient, connections / Self.clientsAtLeast))
        self.perClient = perClient == 0 ? nil : min(perClient ?? share, connections)
        isMoot = perClient ?? 0 >= connections
    }
}

extension DescriptorBudget {
    /// Creates the budget for the limits of aegis.yaml.
    init(descriptors: Int, _ limits: GatewayLimits, workers: Int, listeners: Int) {
        self.init(
            descriptors: descriptors, wanted: limits.connections, perClient: limits.connectionsPerClient,
            workers: workers, listeners: listeners)
    }
}

extension DescriptorBudget: CustomStringConvertible {
    /// The limits in force and the reason, for the log.
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

    /// Whether a limit of aegis.yaml is not in force as written.
    package var isShort: Bool { connections < wanted || isMoot }
}
