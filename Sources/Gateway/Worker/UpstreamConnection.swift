import HTTP1
import PKI

struct UpstreamConnection: ~Copyable {
    enum Phase {
        case connecting
        case handshake
        /// The connection carries an exchange.
        case active
        /// The connection waits in its pool.
        case idle
        /// After an upgrade: bytes are passed on in both directions.
        case tunnel
    }

    var transport: Transport
    let pool: SlotID
    let address: SocketAddress
    /// Whether the upstream's name no longer has this address. Then the connection closes after its exchange.
    var isOutdated = false
    /// Whether the upstream answered before it had received the whole first request. The bytes may not belong to that
    /// request, and the next request could get a wrong answer, so the connection closes after its exchange.
    var isDoubtful = false
    var phase: Phase
    var exchange: SlotID
    /// Received bytes of an incomplete response head.
    var inbox = ByteQueue()
    var scanner = HeadScanner.response
    var deadline = Deadline()
    /// How many bytes were sent before the first request. They belong to the TLS handshake.
    var sentBeforeRequests: Int64 = 0
    /// Whether the connection has carried an earlier exchange.
    var isReused = false
    /// How long the connection may wait in its pool, in milliseconds.
    var idleMilliseconds = UpstreamPool.idleMilliseconds
    /// The next newer and the next older idle connection in the pool.
    var newer = SlotID.none
    var older = SlotID.none
    var isQueued = false
}
