/// What a connection's peer may do. The limits for clients come from `gateway.limits` (`WorkerSettings`), and those for
/// upstreams are `ofUpstreams`.
package struct HTTP2Limits: Sendable {
    /// The largest number of streams that a client may have open at once. `HTTP2Client.streamLimit` bounds the streams
    /// to an upstream.
    package var streams = 128
    /// How many bytes of a stream's body the peer may send before the gateway has passed them on. 65,535 at least.
    package var streamWindow = 65_536
    /// The same for all streams of a connection together.
    package var connectionWindow = 1 << 20
    /// The largest head of a message, in bytes of its HTTP/1.1 form.
    package var headBytes = 64 << 10
    /// The largest number of fields in a head. Each field line counts, also those of a Cookie field that HTTP/2 splits.
    package var fields = 1000
    /// How many streams the peer may reset in a second on average, and how many at once. Streams that the gateway resets
    /// because of what the peer has sent count too.
    package var resets = (rate: 50, burst: 200)
    /// How many frames without a message's data the peer may send in a second on average, and how many at once: SETTINGS,
    /// PING, PRIORITY, WINDOW_UPDATE, empty DATA and unknown frames.
    package var controlFrames = (rate: 200, burst: 1000)

    package init() {}

    /// The limits for upstreams. Some are larger than the initial values, since the operator chooses the upstreams.
    package static let ofUpstreams = {
        var limits = HTTP2Limits()
        limits.connectionWindow = 4 << 20
        limits.controlFrames = (rate: 1000, burst: 10_000)
        return limits
    }()
}

/// An error code (RFC 9113 section 7).
package struct HTTP2Code: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let noError = HTTP2Code(rawValue: 0)
    package static let protocolError = HTTP2Code(rawValue: 1)
    package static let internalError = HTTP2Code(rawValue: 2)
    package static let streamClosed = HTTP2Code(rawValue: 5)
    /// The server has not processed the request (RFC 9113 section 8.7).
    package static let refusedStream = HTTP2Code(rawValue: 7)
    package static let cancel = HTTP2Code(rawValue: 8)
    package static let enhanceYourCalm = HTTP2Code(rawValue: 11)
}
