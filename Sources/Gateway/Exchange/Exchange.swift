import ConfigModel
import HTTP1

/// A request and its response. A health check is an exchange without a client.
struct Exchange: ~Copyable {
    enum ResponseFraming {
        /// The body is sent unchanged. Either there is no body, or the head declares its length, or the end of the
        /// connection ends the body.
        case plain
        case chunked
    }

    enum ClientVersion {
        case http10, http11, http2
    }

    /// The client that sent the request. `none` for a health check.
    let client: SlotID
    var site: SlotID
    /// The upstream connection that carries the exchange. `none` until there is one.
    var upstream = SlotID.none
    /// The pool of the upstream that the exchange was assigned to.
    var pool = SlotID.none

    /// A hash of the client's address, for the balance method `ip_hash`.
    var clientHash: UInt32 = 0

    // MARK: The request
    let method: HTTP1.Method
    /// The request as the upstream gets it: the head, then the part of the body that was collected.
    var request = ByteQueue()
    /// The length of the head in `request`.
    var headBytes = 0
    /// The offset in `request` at which the upstream's own name is inserted, as the value of the Host field. 0 if the
    /// client's Host is kept.
    var hostOffset = 0
    /// The range of the Upgrade field's value in `request`. Empty if the client asks for no upgrade.
    var upgradeRange = 0..<0
    /// The host that the request names, if the client asks for an upgrade; else empty. A tunnel has no next request that
    /// would name its host.
    var tunnelHost: [UInt8] = []
    /// Decodes the request's body. Nil if the request has no body, or if the whole body has arrived.
    var requestBody: BodyDecoder?
    var sendsChunks = false
    /// Whether the upstream gets the request on a stream of HTTP/2.
    var usesHTTP2 = false
    /// Whether the request is a call of gRPC: it came over HTTP/2, and has gRPC's Content-Type.
    var isGRPC = false
    var bodyBytesReceived: UInt64 = 0
    /// Whether the first part of the body is still being collected. An upstream is chosen after that.
    var isCollecting = false
    /// How many bytes of the request's body are in `request`.
    var collectedBytes = 0
    /// Whether `request` still holds everything that was sent, so that the request can be sent again.
    var keepsRequest = true
    /// Whether the upstream no longer reads the request's body. The gateway discards the rest of the body.
    var discardsRequestBody = false
    /// Whether the client waits for a response with status 100 before it sends the body.
    var expectsContinue = false
    var clientVersion = ClientVersion.http11
    /// Whether the client accepts trailers behind the response's body.
    var acceptsTrailers = false
    /// The trailer section of the request, as it was received.
    var requestTrailers = ByteQueue()
    /// Whether errors are answered with HTML. Browsers send an Accept field that begins with text/html.
    var wantsHTML = false
    /// Whether the client's connection stays open after this exchange.
    var keepsClient: Bool

    // MARK: The response
    var responseBody: BodyDecoder?
    /// The trailer section of the response, as it was received.
    var responseTrailers = ByteQueue()
    var responseFraming = ResponseFraming.plain
    var hasResponseHead = false
    /// How many interim (1xx) responses the upstream has sent.
    var interimAnswers: UInt16 = 0
    /// Whether the upstream has sent any byte of a response.
    var hasResponseBytes = false
    /// Whether the upstream connection can carry another exchange.
    var keepsUpstream = false

    /// Finds the ends of the frames that the client gets through a WebSocket. Nil for other protocols.
    var frames: WebSocketFrames?
    /// Whether the client was sent a WebSocket close frame. After this frame, the client gets no bytes of the upstream.
    var isToldToClose = false

    var attempts = Attempts()
    /// The index of the upstream's address that was tried last.
    var address = 0

    // MARK: Log and metrics
    let startedAt: UInt64
    /// When the request was last sent to an upstream, in nanoseconds of the monotonic clock.
    var sentAt: UInt64 = 0
    var status: UInt16 = 0
    /// The status of a call of gRPC; `CallStatus.unknown` if there is none.
    var callStatus = CallStatus.unknown
    var bytesSent: UInt64 = 0
    var logLine = ByteQueue()
    /// The number of the buffer in which `logLine` was started.
    var logNumber: UInt32 = 0
    /// Whether the client did not get the whole answer. The access log says so.
    var isCut = false
    var requestID = RequestID()

    /// Whether the whole body of the request has arrived. Also true if the request has no body.
    var isRequestComplete: Bool { requestBody == nil }

    /// Whether the upstream gets trailers behind the request's body.
    var sendsTrailers: Bool { sendsChunks || usesHTTP2 }

    /// Whether the request can be sent a second time, with the same effect as sending it once. The method must be
    /// idempotent (RFC 9110 section 9.2.2), no byte of a response may have arrived, and `request` must still hold the
    /// whole request.
    var isRepeatable: Bool { !hasResponseBytes && isRequestComplete && keepsRequest && method.isIdempotent }
}
