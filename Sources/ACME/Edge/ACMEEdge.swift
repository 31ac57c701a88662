/// A request to a CA's server.
package struct ACMEHTTPRequest: Sendable, Equatable {
    /// The three methods that ACME uses.
    package enum Method: String, Sendable {
        /// Fetches the directory and renewal information.
        case get = "GET"
        /// Fetches a nonce.
        case head = "HEAD"
        /// Sends every other request.
        case post = "POST"
    }

    package let method: Method
    /// The target; always https.
    package let url: ACMEURL
    /// The body of a POST, whose content type is `application/jose+json`; else empty.
    package let body: [UInt8]
    /// The media type to ask for; nil for any.
    package let accept: String?
    /// Whether the caller can continue without an answer. The edge then waits for a shorter time.
    package var isWish = false
}

/// An answer of a CA's server. Fields are as they arrived: the client checks them.
package struct ACMEHTTPResponse: Sendable {
    package let status: Int
    package let location: String?
    package let replayNonce: String?
    /// The Retry-After field: seconds, or a date.
    package let retryAfter: String?
    /// The links in the answer's Link fields.
    package let links: [WebLink]
    package let contentType: String?
    package let body: [UInt8]

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

/// Sends the module's requests: an HTTP client that follows no redirect, bounds time and sizes, and verifies the
/// server's certificate. Several threads may send at once.
package protocol ACMEEdge: Sendable {
    /// Sends a request and returns the answer, whatever its status.
    ///
    /// - Throws: when there is no answer; an `ACMEEdgeError` where another try may succeed.
    func send(_ request: ACMEHTTPRequest) throws -> ACMEHTTPResponse
}

/// The reason why there is no answer. Errors of other types never lead to another try.
package protocol ACMEEdgeError: Error {
    /// Whether the CA may have received the request and acted on it.
    var mayHaveArrived: Bool { get }
    /// Whether another try may succeed: after a broken connection it may, after an untrusted certificate it can't.
    var isTransient: Bool { get }
}
