import HTTP1
import PKI

struct ClientConnection: ~Copyable {
    enum Phase {
        /// The TLS handshake is in progress.
        case handshake
        /// The TLS handshake waits for a certificate that is being ordered. Nothing is read meanwhile.
        case awaitingCertificate
        /// Requests are read and answered.
        case open
        /// After an upgrade: bytes are passed on in both directions.
        case tunnel
        /// The last answer has been sent. Bytes from the client are discarded, so that the client has time to read the
        /// answer.
        case lingering
        /// The connection is closed once all bytes are sent.
        case closing
    }

    var transport: Transport
    let listener: ListenerRole
    let peer: PeerAddress
    /// When the connection was accepted, in nanoseconds of the monotonic clock.
    let acceptedAt: UInt64
    var phase: Phase
    var proof = ConnectionProof()
    /// Whether the handshake has waited for a certificate. It waits at most once.
    var hasAwaited = false
    /// The exchange in progress; `none` between exchanges.
    var exchange = SlotID.none
    /// Received bytes that are not processed yet: part of a head, or requests that wait for their turn.
    var inbox = ByteQueue()
    var scanner = HeadScanner.request
    /// Decodes the body of a request that was answered early, so that the body can be discarded.
    var discarding: BodyDecoder?
    /// How many more bytes may be discarded in phase `lingering`.
    var mayDiscard = Int.max
    var deadline = Deadline()
    /// When the request body that is arriving is too late, in milliseconds of the event loop's clock. Each byte that
    /// arrives moves this time. In phase `lingering`: when that phase ends.
    var bodyDeadline: Int64 = 0
    var requests: UInt32 = 0
    /// Whether the connection is in the worker's queue.
    var isQueued = false

    var isTLS: Bool { transport.tls != nil }
}

enum ListenerRole: UInt8, Sendable {
    case http
    case https
    case admin
}
