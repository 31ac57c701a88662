import HTTP1

/// A request and its response, between a client and an upstream.
struct Exchange: ~Copyable {
    /// How the body of the response goes to the client.
    enum ResponseFraming {
        /// There is none, or its length was said.
        case plain
        /// In chunks.
        case chunked
    }

    /// The client that asked; `none` for a health check.
    let client: SlotID
    var site: SlotID
    /// The connection that carries it; `none` while there is none.
    var upstream = SlotID.none
    /// The upstream it is with.
    var pool = SlotID.none

    /// A hash of the client's address, which chooses among upstreams.
    var clientHash: UInt32 = 0

    // The request.
    let method: HTTP1.Method
    /// The request as it goes upstream: its head, and what was collected of its body.
    var request = ByteQueue()
    /// Where in it the upstream's own name is to stand as Host; 0 when the client's stands there.
    var hostOffset = 0
    /// Where in it the protocols stand that the client would change to; empty for none.
    var upgradeRange = 0..<0
    /// What reads the body; nil when there is none, and once it has come whole.
    var requestBody: BodyDecoder?
    var sendsChunks = false
    var bodyBytesReceived: UInt64 = 0
    /// Whether the body is being collected, and no upstream was taken yet.
    var isCollecting = false
    /// How many bytes of `request` were collected of the body.
    var collectedBytes = 0
    /// Whether `request` is all that was sent, so that it can be sent again.
    var keepsRequest = true
    /// Whether the upstream takes no more of it: what is still to come is thrown away.
    var discardsRequestBody = false
    /// Whether the client waits to be told to go on.
    var expectsContinue = false
    var clientSpeaksHTTP11 = true
    /// Whether a page is better than a line for an error: browsers ask for text/html first.
    var wantsHTML = false
    /// Whether the client keeps the connection.
    var keepsClient: Bool

    // The response.
    var responseBody: BodyDecoder?
    var responseFraming = ResponseFraming.plain
    var hasResponseHead = false
    /// How many interim answers have come.
    var interimAnswers: UInt16 = 0
    /// Whether bytes of a response have come.
    var hasResponseBytes = false
    /// Whether the upstream's connection can be used again.
    var keepsUpstream = false

    /// The frames that go to the client, where the tunnel is a WebSocket.
    var frames: WebSocketFrames?
    /// Whether the client was told that the gateway goes away: nothing of the upstream's follows that.
    var isToldToClose = false

    // Tries.
    var tries = 0
    var retries = 0
    /// Whether no connection that has waited in the pool will do: one of them was dead.
    var wantsNewConnection = false
    var nextCandidate = 0
    /// How many of its upstream's addresses were tried in vain, and the place of the one that was tried last.
    var addressTries = 0
    var address = 0

    // For the log and the metrics.
    let startedAt: UInt64
    /// When its request was last sent to an upstream, in nanoseconds of the monotonic clock.
    var sentAt: UInt64 = 0
    var status: UInt16 = 0
    var bytesSent: UInt64 = 0
    var logLine = ByteQueue()
    var requestID = RequestID()

    /// Whether the request's body has come whole.
    var isRequestComplete: Bool { requestBody == nil }
}
