import PeerNames
import Testing

@testable import PKI

@Suite struct CertificateAuthorityTests {
    private let authority: CertificateAuthority

    init() throws { authority = try CertificateAuthority.makeRoot(commonName: "Aegis Local CA", now: testNow) }

    @Test("A local CA's root has the required extensions and validity")
    func root() throws {
        let root = authority.certificate
        #expect(root.subjectCommonName == "Aegis Local CA")
        #expect(root.isCA && root.pathLength == 0 && root.isIssued(by: root))
        #expect(root.keyUsage == [.keyCertSign, .cRLSign])
        #expect(root.publicKeyKind == "ECDSA P-256")
        #expect(root.notBefore == testNow - 300)
        #expect(root.notAfter == testNow + 3650 * 86400)
        #expect(root.subjectKeyIdentifier == root.authorityKeyIdentifier)
        let folder = try Folder()
        let text = try OpenSSLTool.text("x509", "-in", folder.write(root.pem, "root.pem"), "-noout", "-text")
        #expect(text.contains("X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0\n"))
        #expect(text.contains("X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign\n"))
        #expect(text.contains("Version: 3 (0x2)"))
    }

    @Test("The openssl command verifies our certificates, for each kind of key", arguments: KeyAlgorithm.allCases)
    func issues(_ algorithm: KeyAlgorithm) throws {
        let key = try PrivateKey.generate(algorithm)
        let names: [SubjectName] = [.dns("app.example.com"), .dns("*.b.example"), .ip("127.0.0.1"), .ip("::1")]
        let leaf = try authority.issue(for: key, names: names, now: testNow, lifetimeSeconds: 365 * 86400)
        #expect(leaf.names == names)
        #expect(leaf.subjectCommonName == "app.example.com")
        #expect(leaf.issuerCommonName == "Aegis Local CA")
        #expect(!leaf.isCA && leaf.isIssued(by: authority.certificate) && key.matches(leaf))
        #expect(leaf.authorityKeyIdentifier == authority.certificate.subjectKeyIdentifier)
        #expect(leaf.extendedKeyUsages == ["1.3.6.1.5.5.7.3.1"])
        let isRSA = algorithm.rawValue.hasPrefix("rsa")
        #expect(leaf.keyUsage == (isRSA ? [.digitalSignature, .keyEncipherment] : .digitalSignature))
        #expect(leaf.notBefore == testNow - 300 && leaf.notAfter == testNow + 365 * 86400)

        let folder = try Folder()
        let root = try folder.write(authority.certificate.pem, "root.pem")
        let file = try folder.write(leaf.pem, "leaf.pem")
        for host in [
            ["-verify_hostname", "x.b.example"], ["-verify_ip", "::1"], ["-verify_hostname", "app.example.com"],
        ] {
            let said = try OpenSSLTool.run(
                ["verify", "-x509_strict", "-purpose", "sslserver", "-attime", "\(testNow)", "-CAfile", root]
                    + host + [file])
            #expect(String(decoding: said, as: UTF8.self).hasSuffix("OK\n"))
        }
        let text = try OpenSSLTool.text("x509", "-in", file, "-noout", "-text", "-checkhost", "app.example.com")
        #expect(text.contains("X509v3 Basic Constraints: critical\n                CA:FALSE\n"))
        #expect(text.contains("X509v3 Key Usage: critical\n"))
        #expect(text.contains("X509v3 Extended Key Usage: \n                TLS Web Server Authentication\n"))
        #expect(text.contains("does match certificate"))
    }

    @Test("A leaf lasts at most 397 days, and stays within its CA's validity")
    func lifetimes() throws {
        let key = try PrivateKey.generate(.ecdsaP256)
        func leaf(at now: Int64, for seconds: Int64) throws -> Certificate {
            try authority.issue(for: key, names: [.dns("a.example")], now: now, lifetimeSeconds: seconds)
        }
        let long = try leaf(at: testNow + 86400, for: 5000 * 86400)
        #expect(long.notAfter - long.notBefore == 397 * 86400)
        let end = authority.certificate.notAfter
        #expect(try leaf(at: end - 100, for: 86400).notAfter == end)
        #expect(try leaf(at: testNow - 200, for: 86400).notBefore == testNow - 300)
        let invalid = PKIError.unusableAuthority(reason: "'Aegis Local CA' is not valid now")
        #expect(throws: invalid) { try leaf(at: end, for: 86400) }
        #expect(throws: invalid) { try leaf(at: testNow - 301, for: 86400) }
        #expect(throws: invalid) { try leaf(at: testNow, for: 0) }
        for (now, seconds) in [(Int64.min, Int64(1)), (.max, 1), (testNow, .max), (testNow, -1)] {
            #expect(throws: PKIError.self) { try leaf(at: now, for: seconds) }
            #expect(throws: PKIError.self) {
                try CertificateAuthority.makeRoot(commonName: "x", now: now, lifetimeSeconds: seconds)
            }
        }
    }

    @Test("Serial numbers are positive and random, with 128 bits")
    func serials() throws {
        let key = try PrivateKey.generate(.ecdsaP256)
        let serials = try (0..<50).map { _ in
            try authority.issue(for: key, names: [.dns("a.example")], now: testNow, lifetimeSeconds: 9).serial
        }
        #expect(Set(serials).count == 50)
        #expect(serials.allSatisfy { $0.utf8.count >= 26 && $0.utf8.count <= 34 })
        #expect(serials.allSatisfy { ("0"..."7").contains($0.prefix(1)) })
    }

    @Test("A name too long for a subject leaves it empty, and the SAN extension becomes critical")
    func longName() throws {
        let name = "\(String(repeating: "a", count: 60)).example.com"
        let key = try PrivateKey.generate(.ecdsaP256)
        let leaf = try authority.issue(for: key, names: [.dns(name)], now: testNow, lifetimeSeconds: 9)
        #expect(leaf.subjectCommonName == nil && leaf.subject == name && leaf.covers(name))
        let folder = try Folder()
        let text = try OpenSSLTool.text("x509", "-in", folder.write(leaf.pem, "leaf.pem"), "-noout", "-text")
        #expect(text.contains("X509v3 Subject Alternative Name: critical"))
        #expect(throws: PKIError.self) { try CertificateAuthority.makeRoot(commonName: name, now: testNow) }
    }

    @Test("Nothing is issued for names that no certificate can hold")
    func badNames() throws {
        let key = try PrivateKey.generate(.ecdsaP256)
        let long = String(repeating: "a", count: 64)
        let bad: [SubjectName] = [
            .dns(""), .dns("a\0b.example"), .dns("é.example"), .dns("a b"), .dns("a..b"), .dns("*"), .dns("x.*.b"),
            .dns("a,DNS:evil"), .dns(long), .dns("a."), .ip("1.2.3"), .ip("1.2.3.4\0"), .ip("example"), .ip(""),
        ]
        for name in bad {
            #expect(throws: PKIError.self) {
                try authority.issue(for: key, names: [name], now: testNow, lifetimeSeconds: 9)
            }
            #expect(throws: PKIError.self) { try CertificateRequest(key: key, names: [name]) }
        }
        #expect(throws: PKIError.self) { try authority.issue(for: key, names: [], now: testNow, lifetimeSeconds: 9) }
        let many = (0...1000).map { SubjectName.dns("h\($0).example") }
        #expect(throws: PKIError.tooLarge("list of names", limit: "1000")) {
            try authority.issue(for: key, names: many, now: testNow, lifetimeSeconds: 9)
        }
        let leaf = try authority.issue(for: key, names: Array(many.dropLast()), now: testNow, lifetimeSeconds: 9)
        #expect(leaf.names.count == 1000)
        #expect(try SubjectName("2001:DB8:0:0::1") == .ip("2001:db8::1"))
        #expect(try SubjectName("*.Example.COM") == .dns("*.example.com"))
    }

    @Test("A leaf, or a key that does not match, can't be a CA")
    func authorities() throws {
        let key = try PrivateKey.generate(.ecdsaP256)
        let leaf = try authority.issue(for: key, names: [.dns("a.example")], now: testNow, lifetimeSeconds: 9)
        let reason = "'a.example' is not a certificate authority's certificate"
        #expect(throws: PKIError.unusableAuthority(reason: reason)) {
            try CertificateAuthority(key: key, certificate: leaf)
        }
        #expect(throws: PKIError.keyMismatch(subject: "Aegis Local CA")) {
            try CertificateAuthority(key: key, certificate: authority.certificate)
        }
        let again = try CertificateAuthority(
            key: PrivateKey(pem: authority.key.pem()), certificate: authority.certificate)
        #expect(
            try again.issue(for: key, names: [.dns("a.example")], now: testNow, lifetimeSeconds: 9)
                .isIssued(by: authority.certificate))
    }
}

@Suite struct CertificateRequestTests {
    @Test("The openssl command verifies our requests, and we read them back", arguments: KeyAlgorithm.allCases)
    func roundTrip(_ algorithm: KeyAlgorithm) throws {
        let key = try PrivateKey.generate(algorithm)
        let names: [SubjectName] = [.dns("a.example"), .dns("*.a.example"), .ip("10.1.2.3")]
        let request = try CertificateRequest(key: key, names: names)
        #expect(request.names == names)
        #expect(try request.publicKeyDER == key.publicKeyDER())
        #expect(request.publicKeyKind == key.kind)
        #expect(try CertificateRequest(pem: Array(request.pem.utf8)) == request)
        let folder = try Folder()
        let file = try folder.write(request.pem, "request.pem")
        let text = try OpenSSLTool.text("req", "-in", file, "-verify", "-noout", "-text")
        #expect(text.contains("DNS:a.example, DNS:*.a.example, IP Address:10.1.2.3"))
        #expect(text.contains("Subject: CN = a.example"))
    }

    @Test("A request may contain URIs, with or without host names")
    func uris() throws {
        let folder = try Folder()
        let uri = try #require(PeerName(uri: Array("spiffe://a.example/node/1".utf8)))
        func text(_ names: [SubjectName]) throws -> String {
            let request = try CertificateRequest(key: .generate(.ecdsaP256), names: names, uris: [uri])
            #expect(request.names == names)
            let file = try folder.write(request.pem, "request.pem")
            return try OpenSSLTool.text("req", "-in", file, "-verify", "-noout", "-text")
        }
        let both = try text([.dns("a.example")])
        #expect(
            both.contains("DNS:a.example, URI:spiffe://a.example/node/1") && both.contains("Subject: CN = a.example"))
        let alone = try text([])
        #expect(alone.contains("X509v3 Subject Alternative Name: critical") && !alone.contains("CN = "))
        #expect(throws: PKIError.self) { try CertificateRequest(key: .generate(.ecdsaP256), names: []) }
    }

    @Test("A request made by the openssl command is read and can be signed")
    func reads() throws {
        let folder = try Folder()
        let key = try PrivateKey.generate(.ecdsaP384)
        let file = try folder.write(key.pem(), "key.pem")
        let made = try OpenSSLTool.run(
            "req", "-new", "-key", file, "-subj", "/CN=x", "-addext", "subjectAltName=DNS:x.example,IP:::1")
        let request = try CertificateRequest(pem: made)
        #expect(request.names == [.dns("x.example"), .ip("::1")])
        let bare = try CertificateRequest(pem: OpenSSLTool.run("req", "-new", "-key", file, "-subj", "/CN=x"))
        #expect(bare.names.isEmpty)
        let authority = try CertificateAuthority.makeRoot(commonName: "CA", now: testNow)
        let leaf = try authority.issue(for: request, names: request.names, now: testNow, lifetimeSeconds: 86400)
        #expect(key.matches(leaf) && leaf.isIssued(by: authority.certificate))
    }

    @Test("A request that is changed, cut off or weak, or has a NUL in a name, is refused")
    func refusals() throws {
        let folder = try Folder()
        let request = try CertificateRequest(key: .generate(.ecdsaP256), names: [.dns("a.example")])
        for index in request.der.indices {
            #expect(throws: PKIError.self) { try CertificateRequest(der: Array(request.der[..<index])) }
            var der = request.der
            der[index] ^= 0x01
            if let read = try? CertificateRequest(der: der) { #expect(read.names == request.names) }
        }
        let weak = try folder.write(OpenSSLTool.run("genrsa", "1024"), "weak.pem")
        let made = try OpenSSLTool.run("req", "-new", "-key", weak, "-subj", "/CN=x")
        #expect(throws: PKIError.weakKey("RSA 1024")) { try CertificateRequest(pem: made) }
        let key = try folder.write(PrivateKey.generate(.ecdsaP256).pem(), "key.pem")
        let nul = try OpenSSLTool.run(
            "req", "-new", "-key", key, "-subj", "/CN=x", "-addext", "subjectAltName=DER:30058203610062")
        let reason = "a host name among its names is empty or not plain ASCII"
        #expect(throws: PKIError.malformed("request", reason: reason)) { try CertificateRequest(pem: nul) }
    }
}
