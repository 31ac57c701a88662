import HTTP1
import PKI

struct ClientConnection: ~Copyable {
    enum Phase {
        case handshake
        /// The TLS handshake waits for a certificate that is being ordered. Nothing is read from the client meanwhile.
        case awaitingCertificate
        /// The gateway reads requests and answers them.
        case open
        /// After an upgrade to another protocol, the gateway passes bytes on in both directions.
        case tunnel
        /// The gateway has sent the last answer. It reads and discards the client's bytes, so that the client has time
        /// to receive the answer.
        case lingering
        /// The connection closes as soon as all bytes are sent.
        case closing
    }

    var transport: Transport
    let listener: ListenerRole
    let peer: PeerAddress
    /// When the gateway accepted the connection, in nanoseconds of the monotonic clock.
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
    /// byte that arrives postpones this time. In the phase `lingering`, this is the end of the phase.
    var bodyDeadline: Int64 = 0
    /// How much time a TLS handshake had left when it was last queued, in milliseconds.
    var timeLeft: Int64 = 0
    var requests: UInt32 = 0
    /// Whether the connection is in one of the worker's queues of connections that wait for their turn.
    var isQueued = false

    var isTLS: Bool { transport.tls != nil }
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
