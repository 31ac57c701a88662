import Synchronization

/// How many connections clients have, in all and each, counted over all workers: the kernel spreads few of them unevenly, so
/// that limits shared out among workers would refuse some too early.
///
/// The one thing that workers share, touched when a connection comes and when it goes.
final class ConnectionCounts: Sendable {
    private struct Counts {
        var total = 0
        var byClient: [PeerAddress.Key: Int] = [:]
    }

    private let counts = Mutex(Counts())

    /// What came of asking for one more.
    enum Admission {
        case admitted
        /// There are as many as may be.
        case full
        /// The client has as many as it may.
        case tooManyOfClient
    }

    /// Counts one more connection of a client, where there are fewer than may be.
    ///
    /// `total` bounds all connections, `perClient` this client's; nil for no bound.
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

    /// A connection that was admitted is gone.
    func leave(_ client: PeerAddress.Key) {
        counts.withLock { counts in
            counts.total -= 1
            let own = counts.byClient[client, default: 1] - 1
            counts.byClient[client] = own > 0 ? own : nil
        }
    }
}
