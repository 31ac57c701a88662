import Synchronization

/// Counts the client connections of all workers, in total and for each client. The kernel distributes connections
/// unevenly. So if each worker had a limit of its own, some connections would be refused too early.
///
/// Apart from this object, workers share only constant values, mailboxes and the access log's sink. A worker uses the
/// counts only when a connection begins and when it ends.
final class ConnectionCounts: Sendable {
    private struct Counts {
        var total = 0
        var byClient: [PeerAddress.Key: Int] = [:]
    }

    private let counts = Mutex(Counts())

    enum Admission {
        case admitted
        /// The total limit is reached.
        case full
        /// The client has as many connections as one client may have.
        case tooManyOfClient
    }

    /// Counts one more connection of a client, if the limits allow it.
    ///
    /// `total` limits all connections, and `perClient` the connections of this client. Nil stands for no limit.
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

    /// Called when an admitted connection has ended.
    func leave(_ client: PeerAddress.Key) {
        counts.withLock { counts in
            counts.total -= 1
            let own = counts.byClient[client, default: 1] - 1
            counts.byClient[client] = own > 0 ? own : nil
        }
    }
}
