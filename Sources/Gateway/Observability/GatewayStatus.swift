import State
import Synchronization

/// What the control side knows of itself, for those who ask on the admin listener.
final class GatewayStatus: Sendable {
    struct Values {
        var phase = GatewayNode.Phase.starting
        var position = StatePosition.start
        var sites = 0
        /// How many connections clients may have.
        var connectionLimit = 0
        var reloads = 0
        var failedReloads = 0
        var problems = 0
        /// Whether there was no state when it began.
        var isWaiting = false
        /// Why the state can't be read; what was in force is served on.
        var stateFailure: String?
        /// Why the state can't be written.
        var reportFailure: String?
        /// The first end of validity of all certificates, in seconds since 1970.
        var firstEnd: Int64?
        /// By name: the end of validity, in seconds since 1970. Empty when there are more than `mostExpiries`.
        var expiries: [String: Int64] = [:]
        /// By upstream: whether health checks find it well.
        var health: [String: Bool] = [:]
        var startedAt: Int64 = 0
        /// The program's version, such as 1.2.3.
        var version = ""
        /// Certificates that this process has ordered since it began: those that came, and the tries that failed.
        var issuances = 0
        var failedIssuances = 0
        var renewals = RenewalOutlook()
        /// Lines of the access log that were lost since the process began.
        var lostLogLines: UInt64 = 0
    }

    /// More certificates than this are told of by the first end alone.
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
