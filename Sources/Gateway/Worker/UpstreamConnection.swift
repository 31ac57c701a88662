import HTTP1
import PKI

/// A connection to an upstream.
struct UpstreamConnection: ~Copyable {
    /// Where it stands in its life.
    enum Phase {
        case connecting
        case handshake
        /// It carries an exchange.
        case active
        /// It waits in its pool.
        case idle
        /// After an upgrade: bytes pass both ways.
        case tunnel
    }

    var transport: Transport
    let pool: SlotID
    /// Where it goes.
    let address: SocketAddress
    /// Whether its upstream's name no longer has that address: it ends with what it carries.
    var isOutdated = false
    /// Whether it answered before it had taken all of its first request: it ends with what it carries, since that may have
    /// been no answer, which then would be taken for the next one's.
    var isDoubtful = false
    var phase: Phase
    /// The exchange it carries.
    var exchange: SlotID
    /// Part of a response's head.
    var inbox = ByteQueue()
    var scanner = HeadScanner.response
    var deadline = Deadline()
    /// How many bytes had been sent on it when its first request was: TLS's.
    var sentBeforeRequests: Int64 = 0
    /// Whether it has carried an exchange before this one.
    var isReused = false
    /// How long it may wait in its pool, in milliseconds.
    var idleMilliseconds = UpstreamPool.idleMilliseconds
    /// Its neighbours in the pool.
    var newer = SlotID.none
    var older = SlotID.none
    var isQueued = false
}
