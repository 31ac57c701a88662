import ConfigModel
import Glibc

/// How many clients may be connected with the descriptors that the process may have.
package struct DescriptorBudget: Equatable {
    /// What is not clients': files, the state, look-ups of names, calls to CAs, and whoever looks after the gateway.
    static let kept = 256
    /// The event loop and the mailbox of a worker.
    private static let eachWorker = 4

    /// How many descriptors the process may have open.
    let descriptors: Int
    /// How many connections of clients the file allows.
    let wanted: Int
    /// How many connections of clients are in force.
    package let connections: Int
    /// How many of them one client may have; nil for no bound of its own.
    package let perClient: Int?
    /// Whether the file bounds a client by no fewer connections than all may have.
    private let isMoot: Bool
    /// The first number of a descriptor that is none for a connection, of clients or upstreams.
    package let ceiling: Int

    /// What one client may have where the file does not say it: a part of all, so that it takes several to take them all, and
    /// no more than any single client has use for.
    private static let clientsAtLeast = 4
    private static let mostPerClient = 1000

    /// - Parameters:
    ///   - perClient: what the file says of one client's connections: nothing, or 0 for no bound.
    ///   - listeners: addresses that are listened at; each takes a socket a worker, twice while they are handed over.
    package init(descriptors: Int, wanted: Int, perClient: Int? = nil, workers: Int, listeners: Int) {
        self.descriptors = descriptors
        self.wanted = wanted
        // With very few of them half is for connections all the same.
        let kept = min(Self.kept + workers * (Self.eachWorker + 2 * listeners), descriptors / 2)
        // Each client may take another one to an upstream. Upstreams' idle connections may use half of what is kept.
        connections = max(1, min(wanted, (descriptors - kept) / 2))
        ceiling = descriptors - kept / 2
        let share = max(1, min(Self.mostPerClient, connections / Self.clientsAtLeast))
        self.perClient = perClient == 0 ? nil : min(perClient ?? share, connections)
        isMoot = perClient ?? 0 >= connections
    }
}

extension DescriptorBudget {
    /// The budget for what the file allows.
    init(descriptors: Int, _ limits: GatewayLimits, workers: Int, listeners: Int) {
        self.init(
            descriptors: descriptors, wanted: limits.connections, perClient: limits.connectionsPerClient,
            workers: workers, listeners: listeners)
    }
}

extension DescriptorBudget: CustomStringConvertible {
    /// What is in force, and why.
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

    /// Whether something is not as the file has it.
    package var isShort: Bool { connections < wanted || isMoot }
}

extension DescriptorLimit {
    /// How many descriptors the process may have open.
    static var current: Int {
        var limit = rlimit()
        // A structure of the right kind, which is read only when the call has filled it.
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        return Int(clamping: limit.rlim_cur)
    }
}
