import PKI
import Remote

/// When a CA would have a certificate renewed (RFC 9773, section 4.2). Times are in seconds since 1970.
package struct ACMERenewalInfo: Sendable, Hashable {
    /// The window's begin.
    package let start: Int64
    /// The window's end, after its begin.
    package let end: Int64
    /// Where people read why; we never ask for it.
    package let explanationURL: String?
    /// After what time the CA wants to be asked again.
    package let retryAfter: Duration?

    package init(_ bytes: [UInt8], retryAfter: Duration?) throws(ACMEError) {
        let wire = try ACMEJSON.decode(Wire.self, from: bytes, of: "renewal information")
        guard let start = RemoteTime.rfc3339(wire.suggestedWindow.start),
            let end = RemoteTime.rfc3339(wire.suggestedWindow.end), start < end
        else { throw .malformed("renewal information", reason: "its window is none") }
        self.init(
            start: start, end: end, explanationURL: wire.explanationURL?.oneLine(limit: 2048), retryAfter: retryAfter)
    }

    init(start: Int64, end: Int64, explanationURL: String? = nil, retryAfter: Duration? = nil) {
        self.start = start
        self.end = end
        self.explanationURL = explanationURL
        self.retryAfter = retryAfter
    }

    private struct Wire: Decodable {
        struct Window: Decodable {
            let start: String
            let end: String
        }

        let suggestedWindow: Window
        let explanationURL: String?
    }
}

extension ACMERenewalInfo {
    /// How a CA names a certificate (RFC 9773, section 4.1): its issuer's key, and its serial. Nil for one that does not say
    /// which key has signed it.
    package static func certificateID(of certificate: Certificate) -> String? {
        certificate.authorityKeyIdentifier.map { certificateID(keyIdentifier: $0, serial: certificate.serialBytes) }
    }

    static func certificateID(keyIdentifier: [UInt8], serial: [UInt8]) -> String {
        "\(Base64URL.text(keyIdentifier)).\(Base64URL.text(serial))"
    }
}
