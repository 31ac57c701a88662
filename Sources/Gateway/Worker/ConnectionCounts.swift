import Synchronization

/// Counts the client connections of all workers, in total and for each client. The kernel distributes a few connections
/// unevenly, so limits for each worker would refuse some too early.
///
/// Apart from mailboxes and the access log's sink, this is the only mutable value that workers share. A worker uses it
/// when a connection begins and when a connection ends.
final class ConnectionCounts: Sendable {
    private struct Counts {
        var total = 0
        var byClient: [PeerAddress.Key: Int] = [:]
    }

    private let counts = Mutex(Counts())

    /// The result of asking for one more connection.
    enum Admission {
        case admitted
        /// The limit of all connections is reached.
        case full
        /// The limit of this client's connections is reached.
        case tooManyOfClient
    }

    /// Counts one more connection of a client, if the limits allow it.
    ///
    /// `total` limits all connections, `perClient` those of this client; nil for no limit.
    func admit(_ client: PeerAddress.Key, total: Int, perClient: Int?) -> Admission {
        counts.withLock { counts in
            let own = counts.byClient[client, default: 0]
            guard own < perClient ?? .max else { return .tooManyOfClient }
            guard counts.total < total else { return .full }
            counts.total += 1
            counts.byClient[client] = own + 1
            return .admitted
        }
    }

    /// Counts the end of a connection that was admitted.
    func leave(_ client: PeerAddress.Key) {
        counts.withLock { counts in
            counts.total -= 1
            let own = counts.byClient[client, default: 1] - 1
            counts.byClient[client] = own > 0 ? own : nil
        }
    }
}
