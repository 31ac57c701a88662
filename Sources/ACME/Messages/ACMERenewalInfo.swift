import PKI
import Remote

/// The period in which a CA suggests to renew a certificate (RFC 9773 section 4.2). Times are in seconds since 1970.
package struct ACMERenewalInfo: Sendable, Hashable {
    package let start: Int64
    /// The end of the period, which is later than `start`.
    package let end: Int64
    /// The delay that the CA asks for before the next request.
    package let retryAfter: Duration?

    package init(_ bytes: [UInt8], retryAfter: Duration?) throws(ACMEError) {
        let wire = try ACMEJSON.decode(Wire.self, from: bytes, of: "renewal information")
        guard let start = RemoteTime.rfc3339(wire.suggestedWindow.start),
            let end = RemoteTime.rfc3339(wire.suggestedWindow.end), start < end
        else { throw .malformed("renewal information", reason: "its window is none") }
        self.init(start: start, end: end, retryAfter: retryAfter)
    }

    init(start: Int64, end: Int64, retryAfter: Duration? = nil) {
        self.start = start
        self.end = end
        self.retryAfter = retryAfter
    }

    /// The answer without its `explanationURL`, a page for people that Aegis does not show.
    private struct Wire: Decodable {
        struct Window: Decodable {
            let start: String
            let end: String
        }

        let suggestedWindow: Window
    }
}

extension ACMERenewalInfo {
    /// The identifier of a certificate in renewal information (RFC 9773 section 4.1). It consists of the issuer's key
    /// identifier and the serial number. Nil if the certificate does not have the issuer's key identifier.
    package static func certificateID(of certificate: Certificate) -> String? {
        certificate.authorityKeyIdentifier.map { certificateID(keyIdentifier: $0, serial: certificate.serialBytes) }
    }

    static func certificateID(keyIdentifier: [UInt8], serial: [UInt8]) -> String {
        "\(Base64URL.text(keyIdentifier)).\(Base64URL.text(serial))"
    }
}
