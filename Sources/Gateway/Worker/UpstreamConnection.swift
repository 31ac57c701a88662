import HTTP1
import HTTP2
import PKI

/// The upstream's end of exchanges: a connection of HTTP/1.1, or a stream of HTTP/2, which carries one exchange. A
/// connection of HTTP/2 is in the same slab, and has no exchange itself.
struct UpstreamConnection: ~Copyable {
    enum Phase {
        /// A stream of HTTP/2 is in this phase until its connection is ready.
        case connecting
        case handshake
        /// The connection is ready for its first request. The gateway listens for a moment whether the upstream speaks
        /// first.
        case listening
        case active
        /// The connection speaks HTTP/2. Its streams are connections of their own.
        case multiplexed
        /// The connection waits in its pool for an exchange.
        case idle
        /// After an upgrade to another protocol, the gateway passes bytes on in both directions.
        case tunnel
    }

    var transport: Transport
    let pool: SlotID
    let address: SocketAddress
    /// Whether the upstream's addresses or its trust have changed, so that the connection must close after its
    /// exchange.
    var isOutdated = false
    /// When the connection was opened, in milliseconds of the event loop's clock.
    let openedAt: Int64
    /// Whether the first bytes of the next response must be shown to come after the request (`isUnasked`). True for the
    /// first response, and after a response that can have no body, since the server may still send one.
    var needsProof = true
    /// Whether the upstream sent the first bytes of a response before the whole request had reached it. These bytes are
    /// perhaps not a response to the request, and the next request could get a wrong response. So the connection closes
    /// after its exchange.
    var isDoubtful = false
    /// How many final responses have begun on this connection.
    var responses = 0
    /// The kind of the last response, if it can have no body.
    var bodiless: BodilessResponses = []
    /// Whether the gateway watches the connection for a late body after a response to HEAD. Meanwhile the connection
    /// gets no request.
    var isWatched = false
    var phase: Phase
    /// The exchange that the connection carries. `none` for an idle connection, and for a connection of HTTP/2.
    var exchange: SlotID
    /// The connection that carries this stream of HTTP/2. `none` for a connection.
    var carrier = SlotID.none
    /// HTTP/2's state, if the connection speaks HTTP/2 or will do so when it is ready.
    var http2: HTTP2Client?
    /// How many of the worker's upstream connections are streams of this connection.
    var streams = 0
    /// Whether the upstream's settings have arrived, so that streams may begin. Only for connections of HTTP/2.
    var isReady = false
    /// When something was last received, and when the last stream ended. For connections of HTTP/2 only, in milliseconds
    /// of the event loop's clock.
    var heardAt: Int64 = 0
    var idleSince: Int64 = 0
    /// Whether a PING was sent, and nothing has arrived since.
    var awaitsPing = false
    /// The index of the address among those of the pool when the connection was opened.
    var addressIndex = 0
    /// Received bytes of a response head that is still incomplete.
    var inbox = ByteQueue()
    var scanner = HeadScanner.response
    var deadline = Deadline()
    /// How many bytes were sent before the present request.
    var sentBeforeRequest: Int64 = 0
    var isReused = false
    /// How long the connection may stay idle, in milliseconds.
    var idleMilliseconds = UpstreamPool.idleMilliseconds
    /// The next newer idle connection in the pool. `older` is the next older idle connection.
    var newer = SlotID.none
    var older = SlotID.none
    var isQueued = false

    var isStream: Bool { !carrier.isNone }
}
