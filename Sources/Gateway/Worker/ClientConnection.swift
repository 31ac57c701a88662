import HTTP1
import PKI

/// A connection of a client.
struct ClientConnection: ~Copyable {
    /// Where it stands in its life.
    enum Phase {
        /// TLS is being set up.
        case handshake
        /// Its TLS handshake waits for a certificate that is being ordered; nothing is read meanwhile.
        case awaitingCertificate
        /// Requests are read and answered.
        case open
        /// After an upgrade: bytes pass both ways.
        case tunnel
        /// All is said; what the client still sends is thrown away, so that it can read the answer.
        case lingering
        /// Closed as soon as everything is sent.
        case closing
    }

    var transport: Transport
    let listener: ListenerRole
    let peer: PeerAddress
    /// When it was accepted, in nanoseconds of the monotonic clock.
    let acceptedAt: UInt64
    var phase: Phase
    /// The site that the TLS handshake was for.
    var site = SlotID.none
    /// Whether the client has named a host in its TLS handshake.
    var hasNamedHost = false
    /// Whether its handshake has waited for a certificate, which it does once.
    var hasAwaited = false
    /// The exchange under way.
    var exchange = SlotID.none
    /// Bytes that have not been looked at: part of a head, or requests that wait for their turn.
    var inbox = ByteQueue()
    var scanner = HeadScanner.request
    /// The body of a request that was answered without it, which is thrown away.
    var discarding: BodyDecoder?
    /// How many bytes more are thrown away while it lingers.
    var mayDiscard = Int.max
    var deadline = Deadline()
    /// When a body that comes ends too late, in milliseconds of the event loop's clock: each byte moves it.
    var bodyDeadline: Int64 = 0
    var requests: UInt32 = 0
    /// Whether it is already in the queue of things to go on with.
    var isQueued = false

    var isTLS: Bool { transport.tls != nil }
}

/// What a listener is for.
enum ListenerRole: UInt8, Sendable {
    case http
    case https
    case admin
}
