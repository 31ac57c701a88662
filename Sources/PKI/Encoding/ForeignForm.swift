/// A form of certificates or keys other than plain PEM. The error message names the command that converts it.
package enum ForeignForm: Sendable, Hashable {
    /// A certificate or key in DER. `command` is the subcommand of openssl that reads it.
    case der(command: String)
    /// PKCS #7 (RFC 2315): certificates without a key, in DER or in a PEM block.
    case pkcs7(isDER: Bool)
    /// PKCS #12 (RFC 7292): certificates and a key, encrypted with a password. `key` is true if the operator needs the
    /// key, false if the certificates.
    case pkcs12(key: Bool)
    /// A certificate in OpenSSL's own form, which adds the purposes that the certificate is trusted for.
    case trustedCertificate
    /// UTF-16, which some Windows programs write.
    case utf16

    /// Recognizes the form of a file without PEM blocks. `key` says whether the file should contain a key. Returns nil
    /// if the form is unknown.
    package init?(of text: Span<UInt8>, key: Bool) {
        guard text.count > 16 else { return nil }
        if (text[0], text[1]) == (0xFF, 0xFE) || (text[0], text[1]) == (0xFE, 0xFF) {
            self = .utf16
            return
        }
        // Each of these forms is a SEQUENCE (0x30). The next byte is the length up to 0x7F; 0x81 to 0x84 mean that one
        // to four bytes with the length follow; 0x80 means an indefinite length (BER).
        guard text[0] == 0x30, text[1] <= 0x84 else { return nil }
        let content = 2 + (text[1] > 0x80 ? Int(text[1] & 0x7F) : 0)
        let isNumber = text[content] == 0x02
        if text[content] == 0x06 {
            self = .pkcs7(isDER: true)
        } else if isNumber, text[content + 1] == 1, text[content + 2] == 3 {
            self = .pkcs12(key: key)
        } else if text[1] > 0x80 || isNumber {
            self = .der(command: key ? "pkey" : "x509")
        } else {
            return nil
        }
    }

    package var name: String {
        switch self {
        case .der: "DER, not PEM"
        case .pkcs7: "PKCS #7, not plain certificates"
        case .pkcs12: "PKCS #12, not PEM"
        case .trustedCertificate: "OpenSSL's form of a trusted certificate, not a plain one"
        case .utf16: "UTF-16, not plain text"
        }
    }

    /// The command that converts the form to PEM. FILE stands for the operator's file.
    var command: String {
        switch self {
        case .der(let command): "openssl \(command) -inform der -in FILE -out FILE.pem"
        case .pkcs7(let isDER): "openssl pkcs7 -print_certs \(isDER ? "-inform der " : "")-in FILE -out FILE.pem"
        case .pkcs12(let key): "openssl pkcs12 \(key ? "-nocerts -nodes" : "-nokeys") -in FILE -out FILE.pem"
        case .trustedCertificate: "openssl x509 -in FILE -out FILE.pem"
        case .utf16: "iconv -f utf-16 -t ascii FILE > FILE.pem"
        }
    }
}
