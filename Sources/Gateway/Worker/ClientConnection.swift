import HTTP1
import HTTP2
import PKI

/// The client's end of exchanges: a connection of HTTP/1.1, or a stream of HTTP/2, which carries one exchange. A connection
/// of HTTP/2 is in the same slab, and has no exchanges itself.
struct ClientConnection: ~Copyable {
    enum Phase {
        case handshake
        /// The TLS handshake waits for a certificate that is being ordered. Nothing is read from the client meanwhile.
        case awaitingCertificate
        /// The gateway reads requests and answers them.
        case open
        /// The connection speaks HTTP/2. Its streams are clients of their own.
        case multiplexed
        /// After an upgrade to another protocol, the gateway passes bytes on in both directions.
        case tunnel
        /// The gateway has sent the last answer. It reads and discards the client's bytes, so that the client has time
        /// to receive the answer.
        case lingering
        /// The connection closes as soon as all bytes are sent.
        case closing
    }

    var transport: Transport
    /// The connection that carries this stream of HTTP/2. `none` for a connection.
    let carrier: SlotID
    /// HTTP/2's state. Nil unless the phase is `multiplexed`, or was.
    var http2: HTTP2Server?
    /// How many of the clients are streams of this connection.
    var streams = 0
    let listener: ListenerRole
    let peer: PeerAddress
    /// When the gateway accepted the connection, or when the stream began, in nanoseconds of the monotonic clock.
    let acceptedAt: UInt64
    var phase: Phase
    var proof = ConnectionProof()
    /// Whether the handshake has waited for a certificate. It waits at most once.
    var hasAwaited = false
    /// The exchange in progress. `none` while the client has no request under way.
    var exchange = SlotID.none
    /// Received bytes that are not yet processed: a part of a head, or requests that wait for their turn.
    var inbox = ByteQueue()
    var scanner = HeadScanner.request
    /// When the head that has begun to arrive must be complete, in milliseconds of the event loop's clock. `max` while
    /// no byte of a head has arrived.
    var headDeadline = Int64.max
    /// The client's request was answered before its body arrived. This decoder finds the end of the body, so that the
    /// body can be discarded.
    var discarding: BodyDecoder?
    /// How many more bytes the phase `lingering` may discard.
    var mayDiscard = Int.max
    var deadline = Deadline()
    /// When the next bytes of the request's body must have arrived, in milliseconds of the event loop's clock. Each
    /// byte that arrives postpones this time. In the phase `lingering`, this is the end of the phase. In the phase
    /// `multiplexed`, new streams are refused from this time on; 0 if it is not known yet, or over.
    var bodyDeadline: Int64 = 0
    /// How much time a TLS handshake had left when it was last queued, in milliseconds.
    var timeLeft: Int64 = 0
    var requests: UInt32 = 0
    /// Whether the connection is in one of the worker's queues of connections that wait for their turn.
    var isQueued = false

    let isTLS: Bool
    var isStream: Bool { !carrier.isNone }

    /// A connection that was accepted just now.
    init(_ transport: consuming Transport, _ listener: ListenerRole, _ peer: PeerAddress, at time: UInt64) {
        isTLS = transport.tls != nil
        (carrier, self.listener, self.peer, acceptedAt) = (.none, listener, peer, time)
        phase = isTLS ? .handshake : .open
        self.transport = transport
    }

    /// A stream of HTTP/2 that has begun just now.
    init(_ stream: HTTP2Stream, on connection: borrowing ClientConnection, _ carrier: SlotID, at time: UInt64) {
        transport = Transport(stream: stream)
        isTLS = connection.isTLS
        (self.carrier, listener, peer, acceptedAt) = (carrier, connection.listener, connection.peer, time)
        phase = .open
    }

    /// Whether a head has begun to arrive and is not complete.
    var isInHead: Bool { headDeadline != .max }
}

enum ListenerRole: UInt8, Sendable {
    case http
    case https
    case admin
    /// The node listener: other nodes and programs connect with mutual TLS.
    case node

    /// Whether the admin worker listens in this role.
    var isAdmin: Bool { self == .admin || self == .node }
}
