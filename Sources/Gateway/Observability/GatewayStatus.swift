import State
import Synchronization

/// The status of the gateway, shared between the control side, which writes it, and the admin listener, which reads it.
final class GatewayStatus: Sendable {
    struct Values {
        var phase = GatewayNode.Phase.starting
        var position = StatePosition.start
        var sites = 0
        /// The most connections that clients may have.
        var connectionLimit = 0
        var reloads = 0
        var failedReloads = 0
        var problems = 0
        /// Whether there was no state when the gateway started.
        var isWaiting = false
        /// The reason why the state can't be read; the last state stays in force. Nil if the state can be read.
        var stateFailure: String?
        /// The reason why the state can't be written; nil if it can.
        var reportFailure: String?
        /// The earliest expiry of all certificates, in seconds since 1970.
        var firstEnd: Int64?
        /// The expiry of each certificate by its name, in seconds since 1970. Empty when there are more than
        /// `mostExpiries`.
        var expiries: [String: Int64] = [:]
        /// The result of health checks by upstream: true when healthy.
        var health: [String: Bool] = [:]
        var startedAt: Int64 = 0
        /// The version of the gateway, such as 1.2.3.
        var version = ""
        /// The certificates ordered since the process started: those obtained, and the attempts that failed.
        var issuances = 0
        var failedIssuances = 0
        var renewals = RenewalOutlook()
        /// The number of access log lines lost since the process started.
        var lostLogLines: UInt64 = 0
    }

    /// The most certificates whose expiries are kept one by one.
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
