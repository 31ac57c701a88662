import HTTP1

/// A request and its response, between a client and an upstream. A health check is an exchange without a client.
struct Exchange: ~Copyable {
    /// How the response body is sent to the client.
    enum ResponseFraming {
        /// Unchanged, without chunks: there is no body, its length is declared, or it ends with the connection.
        case plain
        case chunked
    }

    /// The client that sent the request; `none` for a health check.
    let client: SlotID
    var site: SlotID
    /// The connection that carries the exchange; `none` while there is none.
    var upstream = SlotID.none
    /// The pool of the upstream that the exchange uses.
    var pool = SlotID.none

    /// A hash of the client's address, for `ip_hash`.
    var clientHash: UInt32 = 0

    // Properties of the request.
    let method: HTTP1.Method
    /// The request for the upstream: its head, then the part of its body that was collected.
    var request = ByteQueue()
    /// The offset in `request` where the upstream's own name is inserted as Host; 0 if the client's Host is kept.
    var hostOffset = 0
    /// The range of the Upgrade field's value in `request`; empty without an upgrade.
    var upgradeRange = 0..<0
    /// Decodes the request body; nil if there is none or it has arrived completely.
    var requestBody: BodyDecoder?
    var sendsChunks = false
    var bodyBytesReceived: UInt64 = 0
    /// Whether the request body is still being collected, before an upstream is chosen.
    var isCollecting = false
    /// How many bytes of the body are in `request`.
    var collectedBytes = 0
    /// Whether `request` holds everything that was sent, so that it can be sent again.
    var keepsRequest = true
    /// Whether the upstream accepts no more of the request body. The rest is discarded.
    var discardsRequestBody = false
    /// Whether the client waits for status 100 before it sends the body.
    var expectsContinue = false
    var clientSpeaksHTTP11 = true
    /// Whether errors are answered with HTML. Browsers name text/html first in Accept.
    var wantsHTML = false
    /// Whether the client's connection stays open after this exchange.
    var keepsClient: Bool

    // Properties of the response.
    var responseBody: BodyDecoder?
    var responseFraming = ResponseFraming.plain
    var hasResponseHead = false
    /// How many interim responses have arrived.
    var interimAnswers: UInt16 = 0
    /// Whether any byte of a response has arrived.
    var hasResponseBytes = false
    /// Whether the upstream connection can be reused.
    var keepsUpstream = false

    /// Follows the frames sent to the client if the tunnel is a WebSocket.
    var frames: WebSocketFrames?
    /// Whether the client was sent a close frame. After it, nothing from the upstream is passed on.
    var isToldToClose = false

    // Attempts to send the request.
    var tries = 0
    var retries = 0
    /// Whether to open a new connection instead of using an idle one, because an idle one was dead.
    var wantsNewConnection = false
    var nextCandidate = 0
    /// How many of the upstream's addresses have failed, and the index of the last one tried.
    var addressTries = 0
    var address = 0

    // Values for the log and the metrics.
    let startedAt: UInt64
    /// When the request was last sent to an upstream, in nanoseconds of the monotonic clock.
    var sentAt: UInt64 = 0
    var status: UInt16 = 0
    var bytesSent: UInt64 = 0
    var logLine = ByteQueue()
    var requestID = RequestID()

    /// Whether the request body has arrived completely.
    var isRequestComplete: Bool { requestBody == nil }
}
