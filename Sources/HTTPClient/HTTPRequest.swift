import PKI

/// The HTTP methods that Aegis uses (RFC 9110 section 9, RFC 5789).
package enum HTTPMethod: String, Sendable {
    case get = "GET"
    case head = "HEAD"
    case post = "POST"
    case patch = "PATCH"
    case put = "PUT"
    case delete = "DELETE"
}

/// A header field (RFC 9110 section 5).
package struct HTTPField: Sendable, Hashable {
    /// The field's name. Names are compared without regard to case.
    package var name: String
    /// The value, without white space around it.
    package var value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// A header field with a secret value. Descriptions never show the value, and copies of it are wiped after sending.
package struct SecretField: Sendable {
    package let name: String
    package let value: SecretBytes

    package init(_ name: String, _ value: SecretBytes) {
        self.name = name
        self.value = value
    }

    /// Makes an Authorization field with a Bearer token (RFC 6750 section 2.1).
    package static func bearer(_ token: SecretBytes) -> SecretField {
        SecretField("Authorization", SecretBytes(joining: [SecretBytes(Array("Bearer ".utf8)), token]))
    }
}

package struct HTTPRequest: Sendable {
    package var method: HTTPMethod
    /// The absolute URL. A URL with a user name or password is rejected.
    package var url: String
    /// Header fields besides those that the client adds to every request, such as Content-Length.
    package var fields: [HTTPField]
    /// The credential. After a redirect to another scheme, host or port, the client no longer sends it.
    package var authorization: SecretField?
    package var body: [UInt8]?
    /// A time limit for this request, shorter than the client's. Nil means the client's time limit.
    package var timeout: Duration?
    /// Called on the sending thread whenever a connection is open and the request is about to be sent. If it returns
    /// false, the request is not sent, and the call fails.
    package var mayBeSent: @Sendable () -> Bool = { true }

    package init(
        _ method: HTTPMethod, _ url: String, fields: [HTTPField] = [], authorization: SecretField? = nil,
        body: [UInt8]? = nil
    ) {
        self.method = method
        self.url = url
        self.fields = fields
        self.authorization = authorization
        self.body = body
    }
}
