import Testing

@testable import PKI

/// Damaged lines that should begin or end a block. None of them may make a certificate disappear silently.
@Suite struct PEMSlipTests {
    private static let body = "MAMCAQE=\n"
    private static let begin = "-----BEGIN CERTIFICATE-----"
    private static let end = "-----END CERTIFICATE-----"
    private static let whole = "\(begin)\n\(body)\(end)\n"

    struct Slip: Sendable, CustomTestStringConvertible {
        let title: String
        let text: String
        let reason: String
        var testDescription: String { title }

        /// A whole block, and then a block whose BEGIN line is damaged.
        init(beginning: String, _ title: String) {
            self.title = title
            text = whole + beginning + "\n" + body + end + "\n"
            reason = "line 4 is damaged: it must read '\(begin)' and hold nothing else"
        }

        init(ending: String, _ title: String) {
            self.title = title
            text = whole + begin + "\n" + body + ending + "\n" + whole
            reason = "line 6 is damaged: it must read '\(end)' and hold nothing else"
        }

        init(_ title: String, _ text: String, _ reason: String) {
            (self.title, self.text, self.reason) = (title, text, reason)
        }
    }

    static let glued = "ends one block and begins the next: put a line break between them"
    static let headless = "begins a block without the line '\(begin)', or another one of the kind, before it"
    /// A line of base64 as in a certificate of more than 127 bytes.
    static let long = "MIIB" + String(repeating: "A", count: 60)
    static let alone = "ends a block 'CERTIFICATE' that does not begin: '\(begin)' is missing or damaged"
    static let slips = [
        Slip(beginning: "----BEGIN CERTIFICATE-----", "four dashes before"),
        Slip(beginning: "-----BEGIN CERTIFICATE----", "four dashes behind"),
        Slip(beginning: "------BEGIN CERTIFICATE-----", "six dashes before"),
        Slip(beginning: "BEGIN CERTIFICATE-----", "no dashes before"),
        Slip(beginning: "-----BEGIN CERTIFICATE", "no dashes behind"),
        Slip(beginning: "-----BEGIN\u{A0}CERTIFICATE-----", "a no-break space"),
        Slip(beginning: "\u{A0}-----BEGIN CERTIFICATE-----", "a no-break space before"),
        Slip(beginning: "-----BEGIN CERTIFICATE-----\u{200B}", "a space of no width behind"),
        Slip(beginning: "-----BEGIN  CERTIFICATE-----", "two spaces"),
        Slip(beginning: "-----BEGIN CERTIFICATE -----", "a space before the dashes"),
        Slip(beginning: "----- BEGIN CERTIFICATE -----", "spaces within the dashes"),
        Slip(beginning: "-----begin certificate-----", "small letters"),
        Slip(beginning: "-----BEGIN Certificate-----", "a label in small letters"),
        Slip(beginning: "-----BEGIN CERTFICATE-----", "a label without a letter"),
        Slip(beginning: "-----BEGIN CERTIFCIATE-----", "a label with letters swapped"),
        Slip(beginning: "-----BEGIN CERTIFICATES-----", "a label with a letter more"),
        Slip(beginning: "\u{2014}\u{2013}BEGIN CERTIFICATE\u{2014}\u{2013}", "a word processor's dashes"),
        Slip(beginning: "> -----BEGIN CERTIFICATE-----", "a mail's quotation mark"),
        Slip(beginning: "-----BEGIN CERTIFICATE-----\\nMAMCAQE=\\n-----END", "line breaks spelled out"),
        Slip(beginning: "-----BEGIN CERTIFICATE----- MAMCAQE=", "line breaks lost"),
        Slip(ending: "----END CERTIFICATE-----", "an end with four dashes"),
        Slip(ending: "-----END CERTIFICATE----- # the last", "text behind an end"),
        Slip(ending: "-----end certificate-----", "an end in small letters"),
        Slip(ending: "MAMCAQE=-----END CERTIFICATE-----", "an end behind base64"),
        Slip("a lost first line", "\(whole)\(body)\(end)\n", "line 5 \(alone)"),
        Slip(
            "a block with both labels misspelt",
            "\(whole)-----BEGIN CERTIFICAT-----\n\(body)-----END CERTIFICAT-----\n",
            "line 4 is damaged: it must read '\(begin)' and hold nothing else"),
        Slip(
            "a key with both labels misspelt",
            "\(whole)-----BEGIN RSA PRIVAT KEY-----\n\(body)-----END RSA PRIVAT KEY-----\n",
            "line 4 is damaged: it must read '-----BEGIN RSA PRIVATE KEY-----' and hold nothing else"),
        Slip("a block without both lines", "\(whole)\n\(long)\n\(body)\(whole)", "line 5 \(headless)"),
        Slip("a block without both lines alone", "\(long)\n\(body)", "line 1 \(headless)"),
        Slip("a lost first line of a long block", "\(whole)\(long)\n\(body)\(end)\n", "line 4 \(headless)"),
        Slip("two ends", "\(whole)\(end)\n", "line 4 \(alone)"),
        Slip("END and BEGIN in one line", "\(begin)\n\(body)\(end)\(begin)\n\(body)\(end)\n", "line 3 \(glued)"),
        Slip("the same with CR alone", "\(begin)\r\(body)\r\(end)\(begin)\r\(body)\(end)", "line 4 \(glued)"),
        Slip(
            "CRLF", "\(begin)\r\n\(body)\(end)\r\n-----BEGIN CERTIFICATE----\r\n",
            "line 4 is damaged: it must read '\(begin)' and hold nothing else"),
        Slip("a lost last line", "\n\(begin)\n\(body)\(whole)", "the block 'CERTIFICATE' of line 2 does not end"),
        Slip("another end", "\(begin)\n\(body)-----END X-----\n", "the block 'CERTIFICATE' of line 1 does not end"),
        Slip(
            "a digit that is none", "\(whole)\(begin)\nAA*A\n\(end)\n",
            "the block 'CERTIFICATE' of line 4 is not base64"),
    ]

    @Test("A damaged PEM boundary is an error with its line", arguments: slips)
    func slip(_ slip: Slip) {
        #expect(throws: PKIError.malformed("PEM text", reason: slip.reason)) {
            try PEM.certificates(in: Array(slip.text.utf8))
        }
    }

    @Test(
        "A line that is no PEM boundary is text beside the blocks",
        arguments: [
            "# -----BEGIN CERTIFICATE-----\n# MAMCAQE=\n# -----END CERTIFICATE-----\n", "-----\n", "--- end ---\n",
            "subject=CN = begin certificate\n", "-- the end certificate of our chain --\n", "Begin certificate\n",
            "-----BEGIN X-----\n\(body)-----END X-----\n", "\u{2014} certificate \u{2014}\n",
            "1. End-entity certificate\n", "-----BEGIN PUBLIC KEY-----\n\(body)-----END PUBLIC KEY-----\n",
            "-----BEGIN X509 CRL-----\n\(long)\n-----END X509 CRL-----\n", "serial=\(long)\n", "# \(long)\n",
            "\(long): a word\n", "A\(long)\n", "MII\n",
        ])
    func noise(_ text: String) throws {
        for whole in [text + Self.whole, Self.whole + text] {
            #expect(try PEM.certificates(in: Array(whole.utf8)) == [[48, 3, 2, 1, 1]])
        }
    }

    struct Foreign: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let form: ForeignForm
        let arguments: [String]
    }

    static let forms = [
        Foreign(testDescription: "DER", form: .der(command: "x509"), arguments: ["x509", "-outform", "der", "-in"]),
        Foreign(
            testDescription: "a trusted certificate", form: .trustedCertificate,
            arguments: ["x509", "-trustout", "-addtrust", "serverAuth", "-in"]),
        Foreign(
            testDescription: "PKCS #7", form: .pkcs7(isDER: false), arguments: ["crl2pkcs7", "-nocrl", "-certfile"]),
        Foreign(
            testDescription: "PKCS #7 in DER", form: .pkcs7(isDER: true),
            arguments: ["crl2pkcs7", "-nocrl", "-outform", "der", "-certfile"]),
        Foreign(
            testDescription: "PKCS #12", form: .pkcs12(key: false),
            arguments: ["pkcs12", "-export", "-nokeys", "-passout", "pass:x", "-in"]),
    ]

    @Test("Another certificate format is reported with a working command that converts it to PEM", arguments: forms)
    func foreign(_ foreign: Foreign) throws {
        let folder = try Folder()
        let certificate = try CertificateAuthority.makeRoot(commonName: "r", now: testNow).certificate
        let made = try OpenSSLTool.run(foreign.arguments + [folder.write(certificate.pem, "plain.pem")])
        #expect(throws: PKIError.foreignForm(foreign.form)) { try CertificateChain(pem: made) }
        let file = try folder.write(made, "foreign")
        let words = foreign.form.command.replacing("FILE.pem", with: file + ".pem").replacing("FILE", with: file)
        let password = words.contains("pkcs12") ? ["-passin", "pass:x"] : []
        try OpenSSLTool.run(words.split(separator: " ").dropFirst().map(String.init) + password)
        let converted = try OpenSSLTool.run("x509", "-in", file + ".pem", "-outform", "der")
        #expect(converted == certificate.der)
    }

    @Test("PKCS #7 beside plain certificates, and UTF-16, are reported")
    func others() throws {
        let bag = "-----BEGIN PKCS7-----\n\(Self.body)-----END PKCS7-----\n"
        #expect(throws: PKIError.foreignForm(.pkcs7(isDER: false))) {
            try PEM.certificates(in: Array((Self.whole + bag).utf8))
        }
        let wide = Self.whole.utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
        #expect(throws: PKIError.foreignForm(.utf16)) { try PEM.certificates(in: [0xFF, 0xFE] + wide) }
        #expect(throws: PKIError.foreignForm(.utf16)) { try PrivateKey(pem: SecretBytes([0xFF, 0xFE] + wide)) }
    }
}
