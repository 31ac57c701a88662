import Testing

@testable import PKI

@Suite struct PrivateKeyTests {
    @Test("A new key is read back unchanged from PEM and DER", arguments: KeyAlgorithm.allCases)
    func roundTrip(_ algorithm: KeyAlgorithm) throws {
        let kinds: [KeyAlgorithm: String] = [
            .ecdsaP256: "ECDSA P-256", .ecdsaP384: "ECDSA P-384",
            .rsa2048: "RSA 2048", .rsa3072: "RSA 3072", .rsa4096: "RSA 4096",
        ]
        let key = try PrivateKey.generate(algorithm)
        #expect(key.kind == kinds[algorithm])
        let fromPEM = try PrivateKey(pem: key.pem())
        let fromDER = try PrivateKey(der: key.der())
        for read in [fromPEM, fromDER] {
            #expect(try read.publicKeyDER() == key.publicKeyDER())
            #expect(read.kind == key.kind)
            #expect(try read.der() == key.der())
        }
        let folder = try Folder()
        let file = try folder.write(key.pem(), "key.pem")
        #expect(try OpenSSLTool.run("pkey", "-in", file, "-check", "-noout").starts(with: Array("Key is valid".utf8)))
        #expect(try OpenSSLTool.run("pkey", "-in", file, "-pubout", "-outform", "DER") == key.publicKeyDER())
        #expect(try OpenSSLTool.run("pkey", "-in", file) == key.pem().array)
    }

    @Test("A P-256 key with an invalid public point, or cut off, is refused")
    func damagedP256() throws {
        let whole = try PrivateKey.generate(.ecdsaP256).der().plainCopy()
        #expect(whole.count == 138)
        var bent = whole
        bent[137] ^= 1
        var compressed = whole
        compressed[73] = 2
        for der in [bent, compressed, whole.dropLast(), whole + [0]].map(Array.init) {
            #expect(throws: PKIError.self) { try PrivateKey(der: SecretBytes(der)) }
        }
    }

    struct Form: Sendable, CustomTestStringConvertible {
        let title: String
        let begins: String
        let kind: String
        let arguments: [String]
        var testDescription: String { title }
    }

    static let forms = [
        Form(
            title: "SEC 1 behind EC PARAMETERS", begins: "-----BEGIN EC PARAMETERS", kind: "ECDSA P-256",
            arguments: ["ecparam", "-name", "prime256v1", "-genkey"]),
        Form(
            title: "SEC 1", begins: "-----BEGIN EC PRIVATE KEY", kind: "ECDSA P-384",
            arguments: ["ecparam", "-name", "secp384r1", "-genkey", "-noout"]),
        Form(
            title: "PKCS#8 of P-521", begins: "-----BEGIN PRIVATE KEY", kind: "ECDSA P-521",
            arguments: ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"]),
        Form(
            title: "PKCS#1", begins: "-----BEGIN RSA PRIVATE KEY", kind: "RSA 2048",
            arguments: ["genrsa", "-traditional", "2048"]),
        Form(
            title: "PKCS#8 of RSA", begins: "-----BEGIN PRIVATE KEY", kind: "RSA 3072",
            arguments: ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"]),
        Form(
            title: "Ed25519", begins: "-----BEGIN PRIVATE KEY", kind: "Ed25519",
            arguments: ["genpkey", "-algorithm", "ED25519"]),
    ]

    @Test("A key made by the openssl command is read, with text around it", arguments: forms)
    func readsForm(_ form: Form) throws {
        let made = String(decoding: try OpenSSLTool.run(form.arguments), as: UTF8.self)
        #expect(made.hasPrefix(form.begins))
        let indented = made.split(separator: "\n").map { "  \($0)\t" }.joined(separator: "\r\n")
        let texts = [
            made, "\u{FEFF}" + made, "Bag Attributes\n    localKeyID: 01\n" + made + "\ntrailing words",
            made.replacing("\n", with: "\r\n"), made.replacing("\n", with: "\r"), indented,
        ]
        let public_ = try PrivateKey.read(made).publicKeyDER()
        for text in texts {
            let key = try PrivateKey.read(text)
            #expect(key.kind == form.kind)
            #expect(try key.publicKeyDER() == public_)
        }
    }

    @Test("An encrypted key is refused as encrypted, in both forms")
    func encrypted() throws {
        let folder = try Folder()
        let plain = try folder.write(PrivateKey.generate(.ecdsaP256).pem(), "key.pem")
        let forms = [
            ["pkey", "-in", plain, "-aes-256-cbc", "-passout", "pass:secret"],
            ["ec", "-in", plain, "-aes256", "-passout", "pass:secret"],
        ]
        let labels = ["ENCRYPTED PRIVATE KEY", "EC PRIVATE KEY"]
        for (arguments, label) in zip(forms, labels) {
            let text = String(decoding: try OpenSSLTool.run(arguments), as: UTF8.self)
            #expect(text.contains("BEGIN \(label)"))
            #expect(throws: PKIError.encryptedKey) { try PrivateKey.read(text) }
        }
    }

    struct Refusal: Sendable, CustomTestStringConvertible {
        let arguments: [String]
        let error: PKIError
        var testDescription: String { error.description }
    }

    static let refusals = [
        Refusal(arguments: ["genrsa", "1024"], error: .weakKey("RSA 1024")),
        Refusal(arguments: ["genrsa", "-traditional", "2040"], error: .weakKey("RSA 2040")),
        Refusal(arguments: ["ecparam", "-name", "secp224r1", "-genkey"], error: .weakKey("ECDSA secp224r1")),
        Refusal(arguments: ["ecparam", "-name", "secp256k1", "-genkey"], error: .unsupportedKey("ECDSA secp256k1")),
        Refusal(
            arguments: ["ecparam", "-name", "brainpoolP256r1", "-genkey"],
            error: .unsupportedKey("ECDSA brainpoolP256r1")),
        Refusal(
            arguments: ["ecparam", "-name", "prime256v1", "-param_enc", "explicit", "-genkey", "-noout"],
            error: .explicitCurve(certificate: nil)),
        Refusal(
            arguments: ["ecparam", "-name", "secp521r1", "-param_enc", "explicit", "-genkey"],
            error: .explicitCurve(certificate: nil)),
        Refusal(
            arguments: [
                "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-pkeyopt",
                "ec_param_enc:explicit",
            ], error: .explicitCurve(certificate: nil)),
        Refusal(
            arguments: ["ecparam", "-name", "secp256k1", "-param_enc", "explicit", "-genkey"],
            error: .unsupportedKey("ECDSA secp256k1")),
        // With five primes, the key is generated within seconds.
        Refusal(arguments: rsa(bits: 8200, "rsa_keygen_primes:5"), error: .slowKey("RSA 8200")),
        Refusal(
            arguments: ["genpkey", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"],
            error: .unsupportedKey("RSA-PSS")),
        Refusal(arguments: ["genpkey", "-algorithm", "X25519"], error: .unsupportedKey("X25519")),
        Refusal(arguments: ["genpkey", "-algorithm", "ED448"], error: .unsupportedKey("ED448")),
    ]

    static func rsa(bits: Int, _ option: String) -> [String] {
        ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:\(bits)", "-pkeyopt", option]
    }

    @Test("Explicit curve parameters are refused anywhere in a chain, with a command that converts the key")
    func explicitCurves() throws {
        let folder = try Folder()
        let made = try OpenSSLTool.run(
            "ecparam", "-name", "prime256v1", "-param_enc", "explicit", "-genkey", "-noout")
        let file = try folder.write(made, "key.pem")
        let mended = try PrivateKey(
            pem: SecretBytes(OpenSSLTool.run("pkey", "-in", file, "-ec_param_enc", "named_curve")))
        #expect(mended.kind == "ECDSA P-256")
        let authority = try Certificate(
            der: OpenSSLTool.run("req", "-x509", "-key", file, "-subj", "/CN=explicit", "-outform", "DER"))
        let leaf = try CertificateTemplate(
            commonName: "leaf", issuer: authority, publicKeyDER: PrivateKey.generate(.ecdsaP256).publicKeyDER(),
            notBefore: testNow, notAfter: testNow + 86400, extensions: []
        ).signed(by: mended)
        let error = PKIError.explicitCurve(certificate: "explicit")
        // The certificate is a leaf with a corrected key, or is above a leaf.
        let alone = try CertificateChain(certificates: [authority], key: mended)
        let chain = try CertificateChain(certificates: [authority, leaf])
        #expect(chain.certificates == [leaf, authority])
        #expect(throws: error) { try alone.checkStrength() }
        #expect(throws: error) { try chain.checkStrength() }
        #expect("\(error)".contains("openssl pkey -in KEY -ec_param_enc named_curve -out NEW_KEY"))
    }

    @Test("The largest accepted RSA key has 8192 bits")
    func largest() throws {
        let made = String(decoding: try OpenSSLTool.run(Self.rsa(bits: 8192, "rsa_keygen_primes:5")), as: UTF8.self)
        #expect(try PrivateKey.read(made).kind == "RSA 8192")
    }

    @Test("A DSA key is refused")
    func dsa() throws {
        let folder = try Folder()
        let parameters = try folder.write(
            OpenSSLTool.run("genpkey", "-genparam", "-algorithm", "DSA", "-pkeyopt", "dsa_paramgen_bits:1024"), "dsa")
        let text = String(decoding: try OpenSSLTool.run("genpkey", "-paramfile", parameters), as: UTF8.self)
        #expect(throws: PKIError.unsupportedKey("DSA")) { try PrivateKey.read(text) }
    }

    @Test(
        "An RSA key whose public exponent is even, 1, or long is refused",
        arguments: [[0], [1], [2], [4], [1, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0, 1], [UInt8](repeating: 0x7F, count: 255)])
    func exponent(_ exponent: [UInt8]) throws {
        let rule = "its public exponent is not odd, above 1 and of 64 bits at most"
        #expect(throws: PKIError.malformed("private key", reason: rule)) { try Self.key(exponent: exponent) }
    }

    @Test("An RSA key with the public exponent 3 is read", arguments: [3, 17, 65537])
    func smallExponent(_ exponent: Int) throws {
        let made = try OpenSSLTool.run(Self.rsa(bits: 2048, "rsa_keygen_pubexp:\(exponent)"))
        #expect(try PrivateKey(pem: SecretBytes(made)).kind == "RSA 2048")
    }

    /// A key in PKCS#1 with another public exponent, the third number in it (RFC 8017 appendix A.1.2).
    private static func key(exponent: [UInt8]) throws -> PrivateKey {
        let pem = try OpenSSLTool.run(["genrsa", "-traditional", "2048"])
        let text = pem.span
        let der = try PEM.content(of: PEM.blocks(in: text)[0], in: text).plainCopy()
        // A header of 4 bytes, the version in 3 bytes, the modulus of 257 bytes after a header of 4, and 65537 in 5
        // bytes.
        let modulus = 4 + 3..<4 + 3 + 4 + 257
        #expect(Array(der[modulus.upperBound..<modulus.upperBound + 5]) == [2, 3, 1, 0, 1])
        let head: [UInt8] = exponent.count < 128 ? [2, UInt8(exponent.count)] : [2, 0x81, UInt8(exponent.count)]
        let content = Array(der[4..<modulus.upperBound]) + head + exponent + der[(modulus.upperBound + 5)...]
        let length = [UInt8(content.count >> 8), UInt8(content.count & 0xFF)]
        return try PrivateKey(der: SecretBytes([0x30, 0x82] + length + content))
    }

    @Test("A key that is weak, slow, or unusable in TLS is refused", arguments: refusals)
    func refuses(_ refusal: Refusal) throws {
        let text = String(decoding: try OpenSSLTool.run(refusal.arguments), as: UTF8.self)
        #expect(throws: refusal.error) { try PrivateKey.read(text) }
    }

    @Test("Text without a key, or with two keys, gives an error that says so")
    func count() throws {
        let pem = try PrivateKey.generate(.ecdsaP256).pem().string
        #expect(throws: PKIError.noPrivateKey) { try PrivateKey.read("") }
        #expect(throws: PKIError.noPrivateKey) { try PrivateKey.read("nothing here\n") }
        #expect(throws: PKIError.severalPrivateKeys(2)) { try PrivateKey.read(pem + pem) }
        #expect(throws: PKIError.unsupportedKey("OPENSSH PRIVATE KEY")) {
            try PrivateKey.read("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
        }
    }

    @Test("A key whose public and private halves don't match is refused")
    func patched() throws {
        let one = try PrivateKey.generate(.ecdsaP256).der().array
        let other = try PrivateKey.generate(.ecdsaP256).der().array
        // In both keys, the 32 bytes of the private number are at the same place, and the public point follows.
        let mixed = Array(one[..<80]) + other[80...]
        let text = PEM.text("PRIVATE KEY", mixed)
        #expect(throws: PKIError.self) { try PrivateKey.read(text) }
    }

    @Test("No prefix or damage of a key causes a trap, and no prefix is accepted", arguments: [false, true])
    func damage(isRSA: Bool) throws {
        let key = try PrivateKey.generate(isRSA ? .rsa2048 : .ecdsaP256)
        let pem = try key.pem().array
        let der = try key.der().array
        let step = isRSA ? 7 : 1
        for length in stride(from: 0, to: pem.count - 1, by: step) {
            #expect(throws: PKIError.self) { try PrivateKey(pem: SecretBytes(Array(pem[..<length]))) }
        }
        for length in stride(from: 0, to: der.count, by: step) {
            #expect(throws: PKIError.self) { try PrivateKey(der: SecretBytes(Array(der[..<length]))) }
        }
        #expect(throws: PKIError.self) { try PrivateKey(der: SecretBytes(der + [0])) }
        for index in stride(from: 0, to: der.count, by: step) {
            var bytes = der
            bytes[index] ^= 0x41
            _ = try? PrivateKey(der: SecretBytes(bytes))
        }
    }

    @Test("A key file that is too large is refused before it is parsed")
    func tooLarge() {
        #expect(throws: PKIError.tooLarge("PEM text", limit: "1 MiB")) {
            try PrivateKey(pem: SecretBytes([UInt8](repeating: 10, count: 1 << 20 + 1)))
        }
        #expect(throws: PKIError.tooLarge("private key", limit: "32 KiB")) {
            try PrivateKey(der: SecretBytes([UInt8](repeating: 48, count: 40_000)))
        }
        let blocks = String(repeating: "-----BEGIN A-----\n-----END A-----\n", count: 1001)
        #expect(throws: PKIError.tooLarge("PEM text", limit: "1000 blocks")) { try PrivateKey.read(blocks) }
    }

    @Test("Descriptions, dumps and errors show no secret")
    func redaction() throws {
        let key = try PrivateKey.generate(.ecdsaP256)
        let secret = try key.der()
        let master = try MasterKey.generate()
        var shown = "\(secret) \(String(reflecting: secret)) \(key) \(master)"
        dump(secret, to: &shown)
        dump(key, to: &shown)
        dump(master, to: &shown)
        #expect(shown.contains("secret (\(secret.count) bytes)"))
        #expect(!shown.contains(master.hex().string))
        #expect(!shown.lowercased().contains(Hex.text(secret.array[36..<68])))
        #expect(!shown.contains(secret.array.map(String.init).joined(separator: ", ")))
    }

    @Test("Secrets compare by their bytes")
    func comparison() {
        #expect(SecretBytes([1, 2]) == SecretBytes([1, 2]))
        #expect(SecretBytes([1, 2]) != SecretBytes([1, 3]))
        #expect(SecretBytes([1]) != SecretBytes([1, 2]))
        #expect(SecretBytes([]) == SecretBytes([]))
    }
}
