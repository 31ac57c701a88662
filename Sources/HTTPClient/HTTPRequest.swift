import PKI

/// The methods of the services that are called (RFC 9110 section 9, RFC 5789).
package enum HTTPMethod: String, Sendable {
    /// Read.
    case get = "GET"
    /// Read the fields alone.
    case head = "HEAD"
    /// Process the body.
    case post = "POST"
    /// Change in part.
    case patch = "PATCH"
    /// Replace.
    case put = "PUT"
    /// Remove.
    case delete = "DELETE"
}

/// A header field (RFC 9110 section 5).
package struct HTTPField: Sendable, Hashable {
    /// Its name, in any case.
    package var name: String
    /// Its value, without white space around it.
    package var value: String

    /// A field.
    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// A header field whose value is a secret: no description shows it, and the copies that are made to send it are wiped.
package struct SecretField: Sendable {
    /// Its name.
    package let name: String
    /// Its value.
    package let value: SecretBytes

    /// A field.
    package init(_ name: String, _ value: SecretBytes) {
        self.name = name
        self.value = value
    }

    /// An Authorization field with a Bearer token (RFC 6750 section 2.1).
    package static func bearer(_ token: SecretBytes) -> SecretField {
        SecretField("Authorization", SecretBytes(joining: [SecretBytes(Array("Bearer ".utf8)), token]))
    }
}

/// What to ask of a server.
package struct HTTPRequest: Sendable {
    /// What to do.
    package var method: HTTPMethod
    /// The absolute URL, with nobody's name or password in it.
    package var url: String
    /// Fields beside those that every request has. Content-Length is among the latter.
    package var fields: [HTTPField]
    /// Says who asks. It goes to the URL's own host and port alone, whatever redirects say.
    package var authorization: SecretField?
    /// The body; nil: none.
    package var body: [UInt8]?
    /// How long it may take where the client would wait for longer; nil: as long as the client waits.
    package var timeout: Duration?

    /// A request.
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
