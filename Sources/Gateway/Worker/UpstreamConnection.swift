import HTTP1
import PKI

struct UpstreamConnection: ~Copyable {
    enum Phase {
        case connecting
        case handshake
        case active
        /// The connection waits in its pool for an exchange.
        case idle
        /// After an upgrade to another protocol, bytes are passed on in both directions.
        case tunnel
    }

    var transport: Transport
    let pool: SlotID
    let address: SocketAddress
    /// Whether the upstream's name no longer resolves to this address. The connection then closes after its exchange.
    var isOutdated = false
    /// Whether the first bytes from the upstream came before it had received the whole first request. The bytes may not
    /// be a response to this request, and the next request could get a wrong response. So the connection closes after
    /// its exchange.
    var isDoubtful = false
    var phase: Phase
    var exchange: SlotID
    /// Received bytes of a response head that is not complete yet.
    var inbox = ByteQueue()
    var scanner = HeadScanner.response
    var deadline = Deadline()
    /// How many bytes were sent before the first request, for the TLS handshake.
    var sentBeforeRequests: Int64 = 0
    var isReused = false
    /// How long the connection may stay idle, in milliseconds.
    var idleMilliseconds = UpstreamPool.idleMilliseconds
    /// The neighbours in the pool's list of idle connections: the next newer connection and the next older one.
    var newer = SlotID.none
    var older = SlotID.none
    var isQueued = false
}
