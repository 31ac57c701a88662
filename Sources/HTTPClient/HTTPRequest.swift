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
    /// The name, in any case.
    package var name: String
    /// The value, without white space around it.
    package var value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// A header field with a secret value. No description shows the value, and the copies made to send it are wiped.
package struct SecretField: Sendable {
    package let name: String
    package let value: SecretBytes

    package init(_ name: String, _ value: SecretBytes) {
        self.name = name
        self.value = value
    }

    /// An Authorization field with a Bearer token (RFC 6750 section 2.1).
    package static func bearer(_ token: SecretBytes) -> SecretField {
        SecretField("Authorization", SecretBytes(joining: [SecretBytes(Array("Bearer ".utf8)), token]))
    }
}

package struct HTTPRequest: Sendable {
    package var method: HTTPMethod
    /// The absolute URL, without user name and password.
    package var url: String
    /// Additional fields. The client itself adds those that every request has, such as Content-Length.
    package var fields: [HTTPField]
    /// The credential. It is sent only to the URL's own host and port, even after redirects.
    package var authorization: SecretField?
    package var body: [UInt8]?
    /// A shorter timeout than the client's; nil: the client's.
    package var timeout: Duration?

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
