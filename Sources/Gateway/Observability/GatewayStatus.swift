import State
import Synchronization

/// The status of the gateway. The control side writes the status, and the admin listener's thread reads it.
final class GatewayStatus: Sendable {
    struct Values {
        var phase = GatewayNode.Phase.starting
        var position = StatePosition.start
        var sites = 0
        /// The largest number of client connections that the gateway allows.
        var connectionLimit = 0
        var reloads = 0
        var failedReloads = 0
        var problems = 0
        /// Whether there was no state when the gateway started. Then the gateway waits for the first apply.
        var isWaiting = false
        /// The reason why the state can't be read; nil if the state can be read. The configuration in force stays
        /// meanwhile.
        var stateFailure: String?
        /// The reason why the state can't be written; nil if the state can be written.
        var reportFailure: String?
        /// The earliest expiry of all certificates, in seconds since 1970. Nil if there are no certificates.
        var firstEnd: Int64?
        /// The expiry of each certificate by its name, in seconds since 1970. Empty if there are more certificates than
        /// `mostExpiries`.
        var expiries: [String: Int64] = [:]
        var peers = PeerStatus()
        /// The results of health checks by upstream. True means healthy.
        var health: [String: Bool] = [:]
        var startedAt: Int64 = 0
        var version = ""
        /// How many certificates the gateway has obtained since the process started. `failedIssuances` is how many
        /// attempts have failed.
        var issuances = 0
        var failedIssuances = 0
        var renewals = RenewalOutlook()
        var alerts: [ExpiryAlert.Kind: AlertCounts] = [:]
        var lostLogLines: UInt64 = 0
    }

    /// The largest number of certificates whose expiries are reported one by one. With more certificates, only the
    /// earliest expiry is reported.
    static let mostExpiries = 1000

    private let values = Mutex(Values())
    let lostLogLines = LostLines()

    var current: Values {
        var current = values.withLock { $0 }
        current.lostLogLines = lostLogLines.count
        return current
    }

    func change(_ body: (inout Values) -> Void) { values.withLock { body(&$0) } }
}
