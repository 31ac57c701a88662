/// Answers requests to the admin API. The gateway receives the requests and sends the answers; it knows nothing of the
/// API's resources.
package protocol AdminService: Sendable {
    /// Answers a request, which may take long. The gateway calls this on threads that only do this work: several
    /// reading requests at once, but changes one after another.
    func answer(_ request: AdminRequest) -> AdminResponse

    /// The next part of each stream, in the order of `streams`. Called on one thread, when the state may have changed.
    func parts(of streams: [any AdminStream]) -> [AdminStreamPart]
}

/// The part of an answer that follows its body, such as server-sent events. The stream continues until the service ends
/// it or the client leaves.
package protocol AdminStream: AnyObject, Sendable {}

/// What a stream sends to its client next.
package enum AdminStreamPart: Sendable {
    /// The next bytes for the client; empty if there is nothing to send now.
    case bytes([UInt8])
    /// The stream ends, for example since its client may no longer read it.
    case end
}

/// A request to the admin API, with its whole body.
package struct AdminRequest: Sendable {
    /// The names of the header fields that the API gets, in lower case. The gateway drops all other fields, such as
    /// X-HTTP-Method-Override, which names another method.
    package static let fieldNames: Set<String> = [
        "authorization", "content-type", "cookie", "idempotency-key", "if-match", "if-none-match", "last-event-id",
        "origin", "sec-fetch-site", "x-csrf-token",
    ]
    /// The largest body, in bytes.
    package static let maximumBodyBytes = 1 << 20

    /// A client of the node listener, identified by its TLS certificate.
    package struct Holder: Sendable, Equatable {
        /// The name in the certificate that `node.allow` lists.
        package let name: String
        /// Whether the client may change anything, or only read.
        package let mayChange: Bool

        package init(name: String, mayChange: Bool) {
            self.name = name
            self.mayChange = mayChange
        }
    }

    /// The method as sent, such as `GET`.
    package var method: String
    /// The path and query as sent, percent-encoded.
    package var target: String
    /// The host and port that the client asks for, as a URL writes them. Empty if an HTTP/1.0 client names none.
    package var authority: String
    /// The fields of `fieldNames` that the client sent, in their order. Names are in lower case.
    package var fields: [(name: String, value: String)]
    package var body: [UInt8]
    /// The client's address, without its port.
    package var client: String
    /// The network that the client's address belongs to, for limits: the address, or the first 64 bits of an IPv6
    /// address.
    package var network: UInt64
    package var requestID: String
    /// The client that a TLS certificate identifies, on the node listener; nil if the request needs a token instead.
    package var holder: Holder?
    /// Whether the configuration lets the API change anything.
    package var mayChange: Bool
    /// When the gateway had received the whole request.
    package var receivedAt = ContinuousClock.now

    package init(
        method: String, target: String, authority: String = "", fields: [(name: String, value: String)] = [],
        body: [UInt8] = [], client: String = "", network: UInt64 = 0, requestID: String = "",
        holder: Holder? = nil, mayChange: Bool = true
    ) {
        self.method = method
        self.target = target
        self.authority = authority
        self.fields = fields
        self.body = body
        self.client = client
        self.network = network
        self.requestID = requestID
        self.holder = holder
        self.mayChange = mayChange
    }

    /// Whether the request's method may change anything.
    package var isChange: Bool { !["GET", "HEAD", "OPTIONS"].contains(method) }

    /// The values of a field, in the order in which the client sent them. `name` is in lower case.
    package func values(of name: String) -> [String] { fields.filter { $0.name == name }.map(\.value) }
}

/// An answer of the admin API. The gateway adds the header fields that all its answers have, such as Date.
package struct AdminResponse: Sendable {
    package var status: Int
    /// The answer's own header fields. Neither names nor values may contain control characters.
    package var fields: [(name: String, value: String)]
    package var body: [UInt8]
    /// Continues the answer after the body; nil if the answer ends with the body.
    package var stream: (any AdminStream)?

    package init(status: Int, fields: [(name: String, value: String)] = [], body: [UInt8] = []) {
        self.status = status
        self.fields = fields
        self.body = body
    }
}
