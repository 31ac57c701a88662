import HTTP1

/// A request and its response. A health check is an exchange without a client.
struct Exchange: ~Copyable {
    enum ResponseFraming {
        /// The body is sent as it is: there is none, its length is declared, or the end of the connection ends it.
        case plain
        case chunked
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
    /// The offset in `request` where the upstream's own name is inserted as the Host field. 0 if the upstream gets the
    /// client's Host field.
    var hostOffset = 0
    /// The range of the Upgrade field's value in `request`. Empty if the client asks for no upgrade.
    var upgradeRange = 0..<0
    /// Decodes the request's body. Nil if the request has no body, or if the whole body has arrived.
    var requestBody: BodyDecoder?
    var sendsChunks = false
    var bodyBytesReceived: UInt64 = 0
    /// Whether the gateway still collects the first part of the body. An upstream is chosen after that.
    var isCollecting = false
    /// How many bytes of the request's body are in `request`.
    var collectedBytes = 0
    /// Whether `request` still has everything that was sent. Only then can the request be sent again.
    var keepsRequest = true
    /// Whether the upstream reads no more of the request's body. The gateway then discards the rest.
    var discardsRequestBody = false
    /// Whether the client waits for a response with status 100 before it sends the body.
    var expectsContinue = false
    var clientSpeaksHTTP11 = true
    /// Whether error answers are HTML pages. True if text/html comes first in the request's Accept field, as browsers
    /// send it.
    var wantsHTML = false
    /// Whether the client's connection stays open after this exchange.
    var keepsClient: Bool

    // MARK: The response
    var responseBody: BodyDecoder?
    var responseFraming = ResponseFraming.plain
    var hasResponseHead = false
    /// How many interim (1xx) responses the upstream has sent.
    var interimAnswers: UInt16 = 0
    /// Whether the upstream has sent any byte of a response.
    var hasResponseBytes = false
    /// Whether the upstream connection can carry another exchange.
    var keepsUpstream = false

    /// Follows the frames that the client gets through a WebSocket tunnel. Nil for other protocols.
    var frames: WebSocketFrames?
    /// Whether the gateway has sent the client a WebSocket close frame. After that frame, nothing from the upstream is
    /// passed on.
    var isToldToClose = false

    // MARK: Attempts to send the request
    var tries = 0
    var retries = 0
    /// Whether the next attempt opens a new connection, because an idle connection turned out to be dead.
    var wantsNewConnection = false
    var nextCandidate = 0
    /// How many of the upstream's addresses have failed. `address` is the index of the address tried last.
    var addressTries = 0
    var address = 0

    // MARK: Log and metrics
    let startedAt: UInt64
    /// When the request was last sent to an upstream, in nanoseconds of the monotonic clock.
    var sentAt: UInt64 = 0
    var status: UInt16 = 0
    var bytesSent: UInt64 = 0
    var logLine = ByteQueue()
    var requestID = RequestID()

    /// Whether the whole body of the request has arrived.
    var isRequestComplete: Bool { requestBody == nil }
}
