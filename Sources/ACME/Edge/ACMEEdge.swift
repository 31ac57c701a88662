package struct ACMEHTTPRequest: Sendable, Equatable {
    /// ACME uses GET for the directory and renewal information, HEAD for nonces, and POST for all other requests.
    package enum Method: String, Sendable {
        case get = "GET"
        case head = "HEAD"
        case post = "POST"
    }

    package let method: Method
    package let url: ACMEURL
    /// The body of a POST, of the type `application/jose+json`. Empty for other methods.
    package let body: [UInt8]
    /// The media type for the field Accept. Nil means any type.
    package let accept: String?
    /// Whether the caller can continue without an answer. Such a request gets a shorter time limit.
    package var isWish = false
}

/// An answer from a CA's server. The fields are unchecked.
package struct ACMEHTTPResponse: Sendable {
    package let status: Int
    package let location: String?
    package let replayNonce: String?
    /// The field Retry-After: a number of seconds or a date.
    package let retryAfter: String?
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

/// Sends the requests of this module. An edge must not follow redirects. It limits time and sizes, and verifies the
/// server's certificate. Several threads may use it at the same time.
package protocol ACMEEdge: Sendable {
    /// Sends a request and returns the answer, whatever its status.
    ///
    /// - Throws: An error if there is no answer. The client repeats a request only after an `ACMEEdgeError` whose
    ///   `isTransient` is true.
    func send(_ request: ACMEHTTPRequest) throws -> ACMEHTTPResponse
}

/// The reason why there is no answer.
package protocol ACMEEdgeError: Error {
    /// Whether the CA may have received the request and acted on it.
    var mayHaveArrived: Bool { get }
    /// Whether another try may succeed. For example, true for a broken connection and false for an untrusted
    /// certificate.
    var isTransient: Bool { get }
}
