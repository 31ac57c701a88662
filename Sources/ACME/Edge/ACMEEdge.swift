/// A request to a CA's server.
package struct ACMEHTTPRequest: Sendable, Equatable {
    /// The three methods that ACME has.
    package enum Method: String, Sendable {
        /// For the directory and renewal information.
        case get = "GET"
        /// For nonces.
        case head = "HEAD"
        /// For all else.
        case post = "POST"
    }

    /// How it is asked.
    package let method: Method
    /// Where; always https.
    package let url: ACMEURL
    /// The body of a POST, whose content type is `application/jose+json`; else empty.
    package let body: [UInt8]
    /// The media type that is wanted; nil for any.
    package let accept: String?
    /// Whether things go on without an answer, which is waited for less long then.
    package var isWish = false
}

/// What a CA's server answers. Fields are as they came: the client checks them.
package struct ACMEHTTPResponse: Sendable {
    /// The status code.
    package let status: Int
    /// The Location field.
    package let location: String?
    /// The Replay-Nonce field.
    package let replayNonce: String?
    /// The Retry-After field: seconds, or a date.
    package let retryAfter: String?
    /// The links of its Link fields.
    package let links: [WebLink]
    /// The Content-Type field.
    package let contentType: String?
    /// The body.
    package let body: [UInt8]

    /// An answer.
    package init(
        status: Int, location: String? = nil, replayNonce: String? = nil, retryAfter: String? = nil,
        links: [WebLink] = [], contentType: String? = nil, body: [UInt8] = []
    ) {
        self.status = status
        self.location = location
        self.replayNonce = replayNonce
        self.retryAfter = retryAfter
        self.links = links
        self.contentType = contentType
        self.body = body
    }
}

/// Where requests leave the module: an HTTP client that follows no redirect, bounds time and sizes, and checks the server's
/// certificate. Several threads may send at once.
package protocol ACMEEdge: Sendable {
    /// Sends a request and gives what is answered, whatever its status.
    ///
    /// - Throws: when there is no answer; an `ACMEEdgeError` where trying again may help.
    func send(_ request: ACMEHTTPRequest) throws -> ACMEHTTPResponse
}

/// Why there is no answer. Errors that don't conform are never followed by another try.
package protocol ACMEEdgeError: Error {
    /// Whether the CA may have received the request, and done as it says.
    var mayHaveArrived: Bool { get }
    /// Whether another try may fare better: a broken connection, but no untrusted certificate.
    var isTransient: Bool { get }
}
