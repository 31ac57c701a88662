import Testing

@testable import PKI

@Suite struct JOSETests {
    struct Text: Sendable, CustomTestStringConvertible {
        let bytes: [UInt8]
        let text: String
        var testDescription: String { text }
    }

    static let texts = [
        // The samples of RFC 4648 section 10 without padding, and the two digits that differ from standard base64.
        Text(bytes: [], text: ""), Text(bytes: Array("f".utf8), text: "Zg"), Text(bytes: Array("fo".utf8), text: "Zm8"),
        Text(bytes: Array("foo".utf8), text: "Zm9v"), Text(bytes: Array("foob".utf8), text: "Zm9vYg"),
        Text(bytes: Array("fooba".utf8), text: "Zm9vYmE"), Text(bytes: Array("foobar".utf8), text: "Zm9vYmFy"),
        Text(bytes: [0xFB, 0xEF, 0xFF], text: "--__"),
    ]

    @Test("base64url is written and read", arguments: texts)
    func base64URL(_ text: Text) {
        #expect(Base64URL.text(text.bytes) == text.text)
        #expect(Base64URL.bytes(text.text) == text.bytes)
    }

    @Test(
        "Text that is not base64url is refused",
        arguments: ["A", "AAAAA", "Zh", "Zm9=", "Zg==", "Zm9v\n", "++//", "Zm 9v", "Zm9\u{F6}", "Zm9v\0"])
    func badBase64URL(_ text: String) {
        #expect(Base64URL.bytes(text) == nil)
    }

    @Test("A secret may have correct padding")
    func padding() {
        let secret = { (text: String) in Base64URL.secret(SecretBytes(Array(text.utf8)))?.array }
        #expect(secret("Zg") == Array("f".utf8))
        #expect(secret("Zg==") == Array("f".utf8))
        #expect(secret("Zm8=") == Array("fo".utf8))
        // The text has white space around it, as after copying.
        for text in [" Zm8=\r\n", "Zm8\n\n", "\tZm8="] { #expect(secret(text) == Array("fo".utf8)) }
        for text in ["Zm9v\nZm8=", "Zm9\r\nvZm8"] { #expect(secret(text) == Array("foofo".utf8)) }
        #expect(secret("-_8=") == [0xFB, 0xFF] && secret("+/8=") == [0xFB, 0xFF])
        for text in ["Z m8=", "+_8=", "\n", " = "] { #expect(secret(text).map(\.isEmpty) ?? true) }
        for text in ["Zg=", "Zg===", "Zm8==", "Zm9v=", "Zm9v==", "=", "==", "Z=g="] { #expect(secret(text) == nil) }
    }

    @Test("The thumbprint of the key in RFC 7638 section 3.1 is the one given there")
    func thumbprint() throws {
        let modulus = try #require(
            Base64URL.bytes(
                "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiF"
                    + "V4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZ"
                    + "gnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xB"
                    + "niIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"))
        let key = JSONWebKey.rsa(n: modulus, e: [1, 0, 1])
        #expect(key.json.hasPrefix(#"{"e":"AQAB","kty":"RSA","n":"0vx7"#))
        #expect(key.thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")
    }

    @Test("HMAC gives the result of RFC 4231, test case 2")
    func hmac() throws {
        let (key, message) = (SecretBytes(Array("Jefe".utf8)), Array("what do ya want for nothing?".utf8))
        #expect(
            try Hex.text(HMAC.sha256(key: key, message: message))
                == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        #expect(
            try Hex.text(HMAC.code(.sha384, key: key, message: message)) == """
                af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649
                """)
        #expect(
            try Hex.text(HMAC.code(.sha512, key: key, message: message)) == """
                164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
                9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737
                """)
    }

    @Test("base64 has its own last two digits, with or without padding")
    func base64() {
        func bytes(_ text: String) -> [UInt8]? { Base64.secret(SecretBytes(Array(text.utf8)))?.plainCopy() }
        #expect(bytes("+/8=") == [0xFB, 0xFF] && bytes("+/8") == [0xFB, 0xFF] && bytes("") == [])
        #expect(bytes(" +/8=\n") == [0xFB, 0xFF])
        #expect(bytes("-_8=") == nil && bytes("+/9=") == nil && bytes("+/8==") == nil && bytes("a b=") == nil)
    }

    @Test("The openssl command verifies a JWS signature", arguments: KeyAlgorithm.allCases)
    func signature(_ algorithm: KeyAlgorithm) throws {
        let key = try PrivateKey.generate(algorithm)
        let message = Array("header.payload".utf8)
        let folder = try Folder()
        let file = try folder.write(key.pem(), "key.pem")
        // The numbers of an ECDSA signature sometimes have leading zeros, so several signatures are tried.
        for _ in 0..<(algorithm.rawValue.hasPrefix("rsa") ? 1 : 20) {
            var signature = try key.signature(of: message)
            var digest = "-sha256"
            switch try key.jwsAlgorithm {
            case .rs256: break
            case let curve:
                let width = curve == .es256 ? 32 : 48
                #expect(signature.count == 2 * width)
                if curve == .es384 { digest = "-sha384" }
                let numbers = [signature.prefix(width), signature.suffix(width)].map { half in
                    let number = Array(half.drop { $0 == 0 })
                    return DER.value(tag: 0x02, (number.first ?? 0) < 0x80 ? number : [0] + number)
                }
                signature = DER.sequence(numbers)
            }
            let verdict = try OpenSSLTool.text(
                "dgst", digest, "-prverify", file, "-signature", folder.write(signature, "signature"),
                folder.write(message, "message"))
            #expect(verdict == "Verified OK\n")
        }
    }

    @Test("A JWK has the public numbers that the openssl command shows", arguments: KeyAlgorithm.allCases)
    func publicNumbers(_ algorithm: KeyAlgorithm) throws {
        let key = try PrivateKey.generate(algorithm)
        let folder = try Folder()
        let shown = try OpenSSLTool.text("pkey", "-in", folder.write(key.pem(), "key.pem"), "-noout", "-text_pub")
        let digits = shown.filter { !" :\n".contains($0) }
        switch try key.jsonWebKey {
        case .ec(let curve, let x, let y):
            #expect(digits.contains("pub04" + Hex.text(x + y) + "ASN1"))
            #expect(digits.hasSuffix("NISTCURVE" + curve))
        case .rsa(let n, let e):
            #expect(digits.contains("Modulus00" + Hex.text(n) + "Exponent65537"))
            #expect(e == [1, 0, 1])
        }
    }

    @Test("Keys that not every CA accepts for accounts can't sign")
    func otherKeys() throws {
        let made = try OpenSSLTool.text("genpkey", "-algorithm", "ED25519")
        let key = try PrivateKey.read(made)
        #expect(throws: PKIError.unsupportedKey("Ed25519")) { try key.signature(of: [1]) }
        #expect(throws: PKIError.unsupportedKey("Ed25519")) { try key.jsonWebKey }
    }

    @Test("A tls-alpn-01 certificate has one name and the digest", arguments: ["www.example.org", "2001:db8::1"])
    func challengeCertificate(_ text: String) throws {
        let name = try SubjectName(text)
        let made = try ChallengeCertificate(name: name, keyAuthorization: "token.thumbprint", now: testNow)
        #expect(made.key.matches(made.certificate))
        #expect(made.certificate.names == [name])
        #expect(made.certificate.notBefore < testNow && testNow + 86_400 < made.certificate.notAfter)
        let folder = try Folder()
        let shown = try OpenSSLTool.text(
            "x509", "-in", folder.write(made.certificate.pem, "certificate.pem"), "-noout", "-text", "-certopt",
            "ext_dump")
        let digest = Hex.text(Digest.sha256(Array("token.thumbprint".utf8)))
        let dump = shown.split(separator: "1.3.6.1.5.5.7.1.31: critical").last.map(String.init) ?? ""
        // The dump of the openssl command: offset, bytes with a dash in the middle, and the bytes as text.
        let bytes = dump.split(separator: "\n").filter { $0.contains(" - ") }.prefix(3).map { line in
            line.drop { $0 != "-" }.dropFirst(2).prefix(47).filter { $0.isHexDigit }
        }
        #expect(bytes.joined().hasPrefix("0420" + digest), "\(shown)")
        _ = try TLSCredential(chain: [made.certificate.der], key: made.key)
    }

    @Test("A serial number keeps its leading zero byte")
    func serialBytes() throws {
        #expect(try CertificateTests.made(more: ["-set_serial", "0x00ff01"]).serialBytes == [0x00, 0xFF, 0x01])
        #expect(try CertificateTests.made(more: ["-set_serial", "0x7f01"]).serialBytes == [0x7F, 0x01])
    }
}
