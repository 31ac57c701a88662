import HTTP1
import PKI

struct UpstreamConnection: ~Copyable {
    enum Phase {
        case connecting
        case handshake
        case active
        /// The connection waits in its pool for an exchange.
        case idle
        /// After an upgrade to another protocol, the gateway passes bytes on in both directions.
        case tunnel
    }

    var transport: Transport
    let pool: SlotID
    let address: SocketAddress
    /// Whether this address no longer belongs to the upstream's name. If so, the connection closes after its exchange.
    var isOutdated = false
    /// Whether the upstream sent its first bytes before the whole first request had reached it. These bytes are perhaps
    /// not a response to the request, and the next request could get a wrong response. So the connection closes after
    /// its exchange.
    var isDoubtful = false
    /// Whether the upstream has answered a HEAD on this connection.
    var hasAnsweredHEAD = false
    var phase: Phase
    var exchange: SlotID
    /// Received bytes of a response head that is still incomplete.
    var inbox = ByteQueue()
    var scanner = HeadScanner.response
    var deadline = Deadline()
    /// How many bytes the TLS handshake sent, before the first request.
    var sentBeforeRequests: Int64 = 0
    var isReused = false
    /// How long the connection may stay idle, in milliseconds.
    var idleMilliseconds = UpstreamPool.idleMilliseconds
    /// The next newer idle connection in the pool. `older` is the next older idle connection.
    var newer = SlotID.none
    var older = SlotID.none
    var isQueued = false
}
