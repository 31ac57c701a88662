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
    /// The first number of a descriptor that is none for a connection, of clients or upstreams.
    package let ceiling: Int

    /// - Parameter listeners: addresses that are listened at; each takes a socket a worker, twice while they are handed over.
    package init(descriptors: Int, wanted: Int, workers: Int, listeners: Int) {
        self.descriptors = descriptors
        self.wanted = wanted
        // With very few of them half is for connections all the same.
        let kept = min(Self.kept + workers * (Self.eachWorker + 2 * listeners), descriptors / 2)
        // Each client may take another one to an upstream. Upstreams' idle connections may use half of what is kept.
        connections = max(1, min(wanted, (descriptors - kept) / 2))
        ceiling = descriptors - kept / 2
    }
}

extension DescriptorBudget: CustomStringConvertible {
    /// What is in force, and why.
    package var description: String {
        let text = "at most \(connections) connections of clients at once"
        guard connections < wanted else { return text }
        return text + ", not \(wanted): each may take two of the \(descriptors) descriptors that this process may have"
            + " (raise the limit, as LimitNOFILE= of a unit or ulimit -n)"
    }
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
