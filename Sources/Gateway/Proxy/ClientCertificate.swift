import PKI

/// A client certificate that was verified, with the header fields that describe it to upstreams. Only one worker may
/// use it.
final class ClientCertificate {
    /// The certificate in DER.
    let der: [UInt8]
    /// The end of the validity, in seconds since 1970.
    let notAfter: Int64
    private var clientCertLine: [UInt8] = []
    private var xfccLine: [UInt8] = []

    init(_ der: [UInt8], notAfter: Int64) {
        self.der = der
        self.notAfter = notAfter
    }

    /// The header line for upstreams with its CRLF; empty if nothing is forwarded. It is made once for each connection.
    func line(_ forwarding: ClientCertificateRule.Forwarding) -> [UInt8] {
        switch forwarding {
        case .none: return []
        case .clientCert:
            if clientCertLine.isEmpty { clientCertLine = Array("Client-Cert: \(clientCertValue)\r\n".utf8) }
            return clientCertLine
        case .xfcc:
            if xfccLine.isEmpty, let identity = PeerIdentity(certificate: der) {
                xfccLine = Array("X-Forwarded-Client-Cert: \(identity.xfccValue)\r\n".utf8)
            }
            return xfccLine
        }
    }

    /// The certificate as a byte sequence of structured fields (RFC 9440 section 2.2, RFC 8941 section 3.3.5).
    private var clientCertValue: String { ":\(Base64.text(der)):" }
}

extension PeerIdentity {
    /// The certificate in the form of Envoy's x-forwarded-client-cert: the SHA-256, the subject, and each URI and DNS
    /// name.
    var xfccValue: String {
        var parts = ["Hash=\(fingerprint)", "Subject=\"\(Self.quoted(subject))\""]
        for name in names {
            switch name {
            case .uri(let text): parts.append("URI=\(Self.element(text))")
            case .dns(let text): parts.append("DNS=\(Self.element(text))")
            case .ip, .email: break
            }
        }
        return parts.joined(separator: ";")
    }

    /// A value of an x-forwarded-client-cert element. It is quoted if it contains a separator.
    private static func element(_ text: String) -> String {
        text.contains { ",;=\"\\".contains($0) } ? "\"\(quoted(text))\"" : text
    }

    private static func quoted(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
    }
}
