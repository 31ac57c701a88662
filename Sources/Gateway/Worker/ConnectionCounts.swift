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

    /// Counts one more connection of a client; false, and nothing counted, where there are as many as may be already.
    ///
    /// `total` bounds all connections, `perClient` this client's; nil for no bound.
    func admit(_ client: PeerAddress.Key, total: Int?, perClient: Int?) -> Bool {
        counts.withLock { counts in
            let own = counts.byClient[client, default: 0]
            guard counts.total < total ?? .max, own < perClient ?? .max else { return false }
            counts.total += 1
            counts.byClient[client] = own + 1
            return true
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
