import PeerNames
import Testing

@testable import PKI

@Suite struct CertificateTests {
    /// A self-signed certificate from the openssl command. `extensions` are its arguments for -addext.
    static func made(
        subject: String = "/CN=made.example", extensions: [String] = [], more: [String] = []
    ) throws -> Certificate {
        let folder = try Folder()
        let key = try folder.write(PrivateKey.generate(.ecdsaP256).pem(), "key.pem")
        let added = extensions.flatMap { ["-addext", $0] }
        let der = try OpenSSLTool.run(
            ["req", "-x509", "-key", key, "-subj", subject, "-outform", "DER", "-days", "30"] + added + more)
        return try Certificate(der: der)
    }

    @Test("A certificate's facts are those that the openssl command shows")
    func fields() throws {
        let certificate = try Self.made(
            subject: "/O=Aegis/CN=Made \u{E9}",
            extensions: [
                "subjectAltName=DNS:A.Example,DNS:*.b.example,IP:10.0.0.1,IP:2001:db8::1,email:x@y.example",
                "keyUsage=digitalSignature,keyEncipherment", "extendedKeyUsage=serverAuth,clientAuth",
            ], more: ["-utf8", "-set_serial", "0x00ff01"])
        #expect(
            certificate.names == [.dns("a.example"), .dns("*.b.example"), .ip("10.0.0.1"), .ip("2001:db8::1")])
        #expect(certificate.subjectCommonName == "Made \u{E9}")
        #expect(certificate.issuerCommonName == "Made \u{E9}")
        #expect(certificate.serial == "00ff01")
        #expect(certificate.keyUsage == [.digitalSignature, .keyEncipherment])
        #expect(certificate.extendedKeyUsages == ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"])
        #expect(certificate.isCA)
        #expect(certificate.pathLength == nil)
        // The key usage does not allow signing certificates, so the certificate is not its own issuer.
        #expect(certificate.isSelfIssued && !certificate.isIssued(by: certificate))
        #expect(certificate.publicKeyKind == "ECDSA P-256")
        #expect(certificate.notAfter - certificate.notBefore == 30 * 86400)
        #expect(certificate.subjectKeyIdentifier == certificate.authorityKeyIdentifier)
        #expect(certificate.subjectKeyIdentifier?.count == 20)

        let folder = try Folder()
        let file = try folder.write(certificate.pem, "certificate.pem")
        let shown = try OpenSSLTool.text("x509", "-in", file, "-noout", "-fingerprint", "-sha256", "-dates", "-serial")
        let digits = shown.replacing(":", with: "").lowercased()
        #expect(digits.contains(certificate.fingerprint))
        #expect(shown.contains("serial=FF01"))
        #expect(try OpenSSLTool.run("x509", "-in", file).starts(with: certificate.pem.utf8))
    }

    @Test(
        "The address of the issuer's certificate is found if it is http or https",
        arguments: [
            ("caIssuers;URI:http://ca.test/ca.der", "http://ca.test/ca.der"), ("OCSP;URI:http://ca.test/ocsp", nil),
            ("OCSP;URI:http://ca.test/ocsp,caIssuers;URI:http://ca.test/ca.der", "http://ca.test/ca.der"),
            ("caIssuers;URI:ldap://ca.test/cn,caIssuers;URI:HTTPS://ca.test/ca", "HTTPS://ca.test/ca"),
            ("caIssuers;URI:ldap://ca.test/cn", ""), ("caIssuers;DNS:ca.test", ""),
            ("caIssuers;URI:http://ca.test/a b", ""),
        ])
    func locatesIssuer(_ access: String, _ address: String?) throws {
        let certificate = try Self.made(subject: "/CN=a", extensions: ["authorityInfoAccess=\(access)"])
        // An address that is empty in the sample is present in the certificate, but is not an http or https URL.
        #expect(certificate.locatesIssuer == (address != nil))
        #expect(certificate.issuerAddress ?? "" == address ?? "")
        #expect(try !Self.made(subject: "/CN=a", extensions: []).locatesIssuer)
    }

    @Test("Times before 1970 and at the end of the year 9999 are read")
    func times() throws {
        let folder = try Folder()
        let key = try folder.write(PrivateKey.generate(.ecdsaP256).pem(), "key.pem")
        let request = try folder.write(OpenSSLTool.run("req", "-new", "-key", key, "-subj", "/CN=t"), "request.pem")
        let index = try folder.write("", "index")
        let config = try folder.write(
            "[ca]\ndefault_ca=d\n[d]\ndatabase=\(index)\nnew_certs_dir=\(folder.path)\nrand_serial=yes\npolicy=p\n"
                + "default_md=sha256\n[p]\ncommonName=supplied\n", "config")
        let made = try OpenSSLTool.run(
            "ca", "-batch", "-config", config, "-selfsign", "-keyfile", key, "-in", request, "-notext",
            "-startdate", "19600101000000Z", "-enddate", "99991231235959Z")
        let block = try #require(try PEM.blocks(in: made.span).first)
        let certificate = try Certificate(der: PEM.content(of: block, in: made.span).array)
        #expect(certificate.notBefore == -315_619_200)
        #expect(certificate.notAfter == 253_402_300_799)
        #expect(certificate.names.isEmpty)
        #expect(!certificate.covers("t"))
    }

    struct Name: Sendable, CustomTestStringConvertible {
        let title: String
        /// The content of GeneralNames with one name, in DER as hex.
        let hex: String
        var testDescription: String { title }
    }

    static let badNames = [
        Name(title: "a NUL inside", hex: "82" + "10" + "676f6f642e6578616d706c6500657669"),
        Name(title: "a NUL at the end", hex: "82" + "05" + "612e62" + "6300"),
        Name(title: "a byte above ASCII", hex: "82" + "04" + "e92e6162"),
        Name(title: "a space", hex: "82" + "04" + "61206263"),
        Name(title: "an empty name", hex: "82" + "00"),
        Name(title: "an address of 5 bytes", hex: "87" + "05" + "0a00000101"),
        Name(title: "a length beyond the end", hex: "82" + "7f" + "61"),
    ]

    @Test("A certificate with a bad name among its names is refused", arguments: badNames)
    func badName(_ name: Name) throws {
        let length = Hex.text([UInt8(name.hex.count / 2)])
        let error = #expect(throws: PKIError.self) {
            try Self.made(extensions: ["subjectAltName=DER:30\(length)\(name.hex)"])
        }
        guard case .malformed("certificate", _) = error else {
            Issue.record("refused for another reason: \(String(describing: error))")
            return
        }
    }

    @Test("A certificate with a good name in the same form is accepted")
    func goodName() throws {
        let certificate = try Self.made(extensions: ["subjectAltName=DER:30058203612e62"])
        #expect(certificate.names == [.dns("a.b")])
    }

    @Test("A common name with a line break or a NUL can't break a message")
    func commonName() throws {
        let certificate = try Self.made(subject: "/CN=good\nERROR: \u{202E}evil", more: ["-utf8"])
        #expect(certificate.subject == "good\u{FFFD}ERROR: \u{FFFD}evil")
    }

    struct Host: Sendable, CustomTestStringConvertible {
        let host: String
        let isCovered: Bool
        var testDescription: String { "\(host) \(isCovered)" }
    }

    static let hosts = [
        Host(host: "a.example", isCovered: true), Host(host: "A.EXAMPLE.", isCovered: true),
        Host(host: "x.a.example", isCovered: false), Host(host: "a.example..", isCovered: false),
        Host(host: "x.b.example", isCovered: true), Host(host: "X.B.Example", isCovered: true),
        Host(host: "b.example", isCovered: false), Host(host: "x.y.b.example", isCovered: false),
        Host(host: ".b.example", isCovered: false), Host(host: "x.org", isCovered: false),
        Host(host: "10.0.0.1", isCovered: true), Host(host: "10.0.0.2", isCovered: false),
        Host(host: "2001:db8::1", isCovered: true), Host(host: "2001:0DB8:0::1", isCovered: true),
        Host(host: "10.0.0.3", isCovered: false), Host(host: "made.example", isCovered: false),
        Host(host: "", isCovered: false), Host(host: ".", isCovered: false),
    ]

    @Test("The openssl command agrees on whether a certificate covers a host")
    func covers() throws {
        let certificate = try Self.made(extensions: [
            "subjectAltName=DNS:a.example,DNS:*.b.example,DNS:*.org,IP:10.0.0.1,IP:2001:db8::1,DNS:10.0.0.3"
        ])
        let folder = try Folder()
        let file = try folder.write(certificate.pem, "certificate.pem")
        for host in Self.hosts {
            #expect(certificate.covers(host.host) == host.isCovered, "\(host.host)")
            // The openssl command accepts no trailing dot, and treats an empty name or one with a leading dot as a
            // pattern.
            guard !host.host.hasSuffix("."), !host.host.hasPrefix("."), !host.host.isEmpty else { continue }
            let isAddress = AddressText.bytes(of: host.host) != nil
            let said = try OpenSSLTool.text(
                "x509", "-in", file, "-noout", isAddress ? "-checkip" : "-checkhost", host.host)
            #expect(said.contains("does match") == host.isCovered, "\(host.host)")
        }
        #expect(certificate.covers("*.b.example"))
        #expect(!certificate.covers("*.a.example"))
    }

    @Test("No prefix of a certificate is accepted, and no damage causes a trap")
    func damage() throws {
        let certificate = try Self.made(extensions: ["subjectAltName=DNS:a.example,IP:10.0.0.1"])
        for length in certificate.der.indices {
            #expect(throws: PKIError.self) { try Certificate(der: Array(certificate.der[..<length])) }
        }
        #expect(throws: PKIError.self) { try Certificate(der: certificate.der + [0]) }
        for index in certificate.der.indices {
            for change: UInt8 in [0x01, 0x80, 0xFF] {
                var der = certificate.der
                der[index] ^= change
                guard let read = try? Certificate(der: der) else { continue }
                #expect(!read.isIssued(by: certificate) || read.der.count == certificate.der.count)
            }
        }
        #expect(throws: PKIError.tooLarge("certificate", limit: "64 KiB")) {
            try Certificate(der: [UInt8](repeating: 0x30, count: 70_000))
        }
    }

    @Test("Weak keys and broken signatures are found when requested")
    func strength() throws {
        let folder = try Folder()
        let weak = try folder.write(OpenSSLTool.run("genrsa", "1024"), "weak.pem")
        let der = try OpenSSLTool.run("req", "-x509", "-key", weak, "-subj", "/CN=weak", "-outform", "DER")
        let certificate = try Certificate(der: der)
        #expect(throws: PKIError.weakKey("RSA 1024")) { try certificate.checkStrength() }

        let key = try folder.write(PrivateKey.generate(.ecdsaP256).pem(), "key.pem")
        let root = try folder.write(OpenSSLTool.run("req", "-x509", "-key", key, "-subj", "/CN=root"), "root.pem")
        let request = try folder.write(OpenSSLTool.run("req", "-new", "-key", key, "-subj", "/CN=leaf"), "leaf.csr")
        let old = try OpenSSLTool.run(
            "x509", "-req", "-in", request, "-CA", root, "-CAkey", key, "-sha1", "-outform", "DER")
        #expect(throws: PKIError.weakSignature(subject: "leaf")) { try Certificate(der: old).checkStrength() }
        try Self.made().checkStrength()
    }

    @Test("A key matches only its own certificate, in each encoding of the public key")
    func matches() throws {
        let folder = try Folder()
        let key = try PrivateKey.generate(.ecdsaP256)
        let file = try folder.write(key.pem(), "key.pem")
        let plain = try Certificate(
            der: OpenSSLTool.run("req", "-x509", "-key", file, "-subj", "/CN=x", "-outform", "DER"))
        #expect(key.matches(plain))
        #expect(!(try PrivateKey.generate(.ecdsaP256)).matches(plain))
        #expect(!(try PrivateKey.generate(.rsa2048)).matches(plain))

        let short = try folder.write(OpenSSLTool.run("ec", "-in", file, "-conv_form", "compressed"), "short.pem")
        let compressed = try Certificate(
            der: OpenSSLTool.run("req", "-x509", "-key", short, "-subj", "/CN=x", "-outform", "DER"))
        #expect(try compressed.publicKeyDER != key.publicKeyDER())
        #expect(key.matches(compressed))
    }
}
