import COpenSSL
import PeerNames

/// Facts about a peer's certificate for logs and events. A stranger may have made the certificate, so each text is
/// limited to one line of printable ASCII and to `maximumTextBytes`.
package struct PeerCertificate: Sendable, Equatable {
    /// The maximum length of a text, in bytes. A longer text is cut and ends with `...`.
    package static let maximumTextBytes = 256
    /// The maximum number of names that logs show.
    package static let maximumNames = 16

    /// The subject in the form of RFC 4514. Empty if the certificate has no subject.
    package let subject: String
    /// The issuer in the form of RFC 4514.
    package let issuer: String
    /// The bytes of the serial number's DER integer in hex, without tag and length.
    package let serial: String
    /// The subject alternative names with their kinds, such as `DNS:app.test`.
    package let names: [String]
    /// The number of further names, beyond `maximumNames`.
    package let namesLeftOut: Int
    /// The SHA-256 of the DER in lower-case hex.
    package let fingerprint: String
    /// The end of the validity in seconds since 1970. Nil if it can't be read.
    package let notAfter: Int64?

    init(_ certificate: OpaquePointer) {
        subject = unsafe Self.text(of: X509_get_subject_name(certificate))
        issuer = unsafe Self.text(of: X509_get_issuer_name(certificate))
        serial = unsafe Self.serial(of: certificate)
        let all = (try? unsafe SubjectNameReader.contents(of: X509ExtensionReader(certificate: certificate))) ?? []
        names = all.prefix(Self.maximumNames).map(Self.text)
        namesLeftOut = all.count - names.count
        let der = try? unsafe OpenSSL.encode("reading a certificate") { output in unsafe i2d_X509(certificate, output) }
        fingerprint = Digest.sha256Text(der ?? [])
        notAfter = unsafe OpenSSL.seconds(X509_get0_notAfter(certificate))
        ERR_clear_error()
    }

    /// Throws if the DER can't be read, or is larger than `Certificate.maximumBytes`.
    package init(der: [UInt8]) throws(PKIError) {
        let certificate = try CertificateHandle(der: der)
        defer { extendLifetime(certificate) }
        unsafe self.init(certificate.handle)
    }

    private static func serial(of certificate: OpaquePointer) -> String {
        let number = try? unsafe OpenSSL.encode("reading a serial") { output in
            unsafe i2d_ASN1_INTEGER(X509_get0_serialNumber(certificate), output)
        }
        guard let number, let content = DER.content(at: 0, of: number) else { return "" }
        return cut(Hex.text(number[content].prefix(maximumTextBytes)))
    }

    /// The text of an `X509_NAME` in the form of RFC 4514, escaped and cut.
    static func text(of name: OpaquePointer?) -> String {
        guard let name = unsafe name, let output = unsafe BIO_new(BIO_s_mem()) else { return "" }
        defer { unsafe BIO_free(output) }
        guard unsafe aegis_print_name(output, name) >= 0 else { return "" }
        var bytes = [UInt8](repeating: 0, count: maximumTextBytes + 1)
        // This is safe, since BIO_read writes at most `bytes.count` bytes.
        let count = unsafe BIO_read(output, &bytes, Int32(bytes.count))
        return escaped(bytes.prefix(max(0, Int(count))))
    }

    private static func text(of name: SubjectNameReader.Content) -> String {
        switch name.kind {
        case GEN_DNS: "DNS:" + escaped(name.bytes)
        case GEN_URI: "URI:" + escaped(name.bytes)
        case GEN_EMAIL: "email:" + escaped(name.bytes)
        case GEN_IPADD:
            "IP:" + (PeerName(address: name.bytes)?.text ?? cut(Hex.text(name.bytes.prefix(maximumTextBytes))))
        default: "of another kind"
        }
    }

    /// Converts bytes to printable ASCII. Each other byte becomes `\xNN`.
    private static func escaped(_ bytes: some Collection<UInt8>) -> String {
        cut(
            bytes.prefix(maximumTextBytes + 1).map { byte in
                0x20...0x7E ~= byte ? String(UnicodeScalar(byte)) : "\\x" + Hex.text([byte])
            }.joined())
    }

    /// Cuts an ASCII text to at most `maximumTextBytes`.
    private static func cut(_ text: String) -> String {
        text.utf8.count <= maximumTextBytes ? text : text.prefix(maximumTextBytes - 3) + "..."
    }
}
