import Synchronization

/// Counts the client connections of all workers, in total and for each client. If each worker had limits of its own,
/// some connections would be refused too early, since the kernel distributes connections unevenly.
///
/// Workers share no other mutable value, apart from mailboxes and the access log's sink. A worker uses the counts when
/// a connection begins and when it ends.
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
    /// `total` limits all connections. `perClient` limits the connections of this client; nil stands for no limit.
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

    /// An admitted connection of the client has ended.
    func leave(_ client: PeerAddress.Key) {
        counts.withLock { counts in
            counts.total -= 1
            let own = counts.byClient[client, default: 1] - 1
            counts.byClient[client] = own > 0 ? own : nil
        }
    }
}
