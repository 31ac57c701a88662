/// A form of certificates and keys other than plain PEM.
package enum ForeignForm: Sendable, Hashable {
    /// A certificate or key in DER; `command` is OpenSSL's command that reads it.
    case der(command: String)
    /// PKCS #7 (RFC 2315): certificates without a key, in DER or in a PEM block.
    case pkcs7(isDER: Bool)
    /// PKCS #12 (RFC 7292): certificates and a key, encrypted with a password; `key` says that the key is wanted, not
    /// the certificates.
    case pkcs12(key: Bool)
    /// A certificate in OpenSSL's own format that adds the purposes it is trusted for.
    case trustedCertificate
    /// UTF-16, in which Windows writes text.
    case utf16

    /// Recognizes the form of a text without any PEM block; nil for an unknown form. `key` says that a key is wanted.
    init?(of text: Span<UInt8>, key: Bool) {
        guard text.count > 16 else { return nil }
        if (text[0], text[1]) == (0xFF, 0xFE) || (text[0], text[1]) == (0xFE, 0xFF) {
            self = .utf16
            return
        }
        // All these forms begin with a SEQUENCE (0x30). Its length is one byte up to 0x7F; 0x81 to 0x84 announce one to four
        // more bytes; 0x80 is BER's indefinite length.
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

    var name: String {
        switch self {
        case .der: "DER, not PEM"
        case .pkcs7: "PKCS #7, not plain certificates"
        case .pkcs12: "PKCS #12, not PEM"
        case .trustedCertificate: "OpenSSL's form of a trusted certificate, not a plain one"
        case .utf16: "UTF-16, not plain text"
        }
    }

    /// The command that converts the form to PEM.
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
