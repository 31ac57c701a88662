import COpenSSL
import Testing

@testable import PKI

/// A root, two CAs below it and a leaf, made by the openssl command.
struct TestChain {
    let root: Certificate
    let upper: Certificate
    let lower: Certificate
    let leaf: Certificate
    let leafKey: PrivateKey
    /// A self-signed certificate with the key and name of the upper CA.
    let upperAsRoot: Certificate
    let alien: Certificate

    var all: [Certificate] { [leaf, lower, upper, root] }

    init() throws {
        let folder = try Folder()
        let authority = try folder.write("basicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash\n", "ca.ext")
        let server = try folder.write("subjectAltName=DNS:leaf.example\n", "leaf.ext")
        func key(_ name: String) throws -> String {
            try folder.write(PrivateKey.generate(.ecdsaP256).pem(), "\(name).key")
        }
        func selfSigned(_ name: String, key: String) throws -> Certificate {
            try Certificate(
                der: OpenSSLTool.run("req", "-x509", "-key", key, "-subj", "/CN=\(name)", "-outform", "DER"))
        }
        func issued(_ name: String, key: String, by issuer: Certificate, key issuerKey: String, as role: String) throws
            -> Certificate
        {
            let request = try folder.write(OpenSSLTool.run("req", "-new", "-key", key, "-subj", "/CN=\(name)"), "csr")
            let parent = try folder.write(issuer.pem, "parent.pem")
            return try Certificate(
                der: OpenSSLTool.run(
                    "x509", "-req", "-in", request, "-CA", parent, "-CAkey", issuerKey, "-extfile", role,
                    "-outform", "DER"))
        }
        let keys = try (root: key("root"), upper: key("upper"), lower: key("lower"), leaf: key("leaf"))
        root = try selfSigned("root", key: keys.root)
        upper = try issued("upper", key: keys.upper, by: root, key: keys.root, as: authority)
        upperAsRoot = try selfSigned("upper", key: keys.upper)
        lower = try issued("lower", key: keys.lower, by: upper, key: keys.upper, as: authority)
        leaf = try issued("leaf", key: keys.leaf, by: lower, key: keys.lower, as: server)
        leafKey = try PrivateKey(pem: SecretBytes(OpenSSLTool.run("pkey", "-in", keys.leaf)))
        alien = try selfSigned("alien", key: key("alien"))
    }
}

@Suite struct CertificateChainTests {
    private let chain: TestChain

    init() throws { chain = try TestChain() }

    private func pem(_ certificates: [Certificate]) -> [UInt8] { Array(certificates.map(\.pem).joined().utf8) }

    @Test("A chain is sorted from any order")
    func order() throws {
        let all = chain.all
        for first in all.indices {
            for second in all.indices where second != first {
                let others = all.indices.filter { $0 != first && $0 != second }
                for rest in [others, others.reversed()] {
                    let mixed = ([first, second] + rest).map { all[$0] }
                    #expect(try CertificateChain(pem: pem(mixed)).certificates == all)
                    #expect(try CertificateChain(pem: pem(mixed), key: chain.leafKey).certificates == all)
                }
            }
        }
        for count in 1...4 {
            let part = Array(all.prefix(count))
            #expect(try CertificateChain(pem: pem(part.reversed())).certificates == part)
        }
    }

    @Test("Text around blocks, line ends, other blocks and duplicates make no difference")
    func noise() throws {
        let texts: [String] = chain.all.map(\.pem)
        let whole: String = texts.joined()
        let backwards: String = texts.reversed().joined()
        let key: String = try chain.leafKey.pem().string
        let commented = texts.map { "subject=/CN=x\nissuer: y ----- z\n" + $0 + "\n# end" }
        let indented = whole.split(separator: "\n").map { "    " + $0 + "  \n" }
        let renamed = whole.replacing("BEGIN CERT", with: "BEGIN X509 CERT")
        let variants: [String] = [
            texts.joined(separator: "\n\n"), "\u{FEFF}" + whole, commented.joined(),
            whole.replacing("\n", with: "\r\n"), indented.joined(), key + whole + key, whole + backwards,
            renamed.replacing("END CERT", with: "END X509 CERT"),
        ]
        for text in variants {
            let read = try CertificateChain(pem: Array(text.utf8))
            #expect(read.certificates == chain.all)
            #expect(read.leaf == chain.leaf)
            #expect(read.pem == whole)
        }
    }

    @Test("Certificates of a CA's answer are read whatever stands around them, unless one would be left out")
    func frames() throws {
        let whole = chain.all.map(\.pem).joined()
        func found(_ text: String) throws -> CertificateChain.Found {
            let now = chain.leaf.notBefore
            return try CertificateChain.inOrder(certificatesOf: Array(text.utf8), key: chain.leafKey, now: now)
        }
        let plain = try found(whole)
        #expect(plain.chain.certificates == chain.all && plain.slip == nil && !plain.isReordered)
        let glued = whole.replacing("-----\n-----BEGIN", with: "----------BEGIN")
        let oneLine = whole.replacing("CERTIFICATE-----\n", with: "CERTIFICATE-----").replacing(
            "\n-----", with: "-----")
        for text in [glued, "<html>\(whole)</html>", "x\(glued)y", glued.replacing("\n", with: "\r\n"), oneLine] {
            let read = try found(text)
            #expect(read.chain.certificates == chain.all && read.slip != nil && read.unreadable.isEmpty)
        }
        // A part of a certificate is left, so the answer may be cut off or damaged.
        let body = glued.dropFirst("-----BEGIN CERTIFICATE-----\n".count)
        for text in [
            String(glued.dropLast(40)), String(body), glued.replacing("-----BEGIN", with: "----BEGIN"), "<html>",
        ] {
            #expect(throws: PKIError.self) { try found(text) }
        }
        // An operator's own file is refused.
        #expect(throws: PKIError.self) { try CertificateChain(pem: Array(glued.utf8)) }
        let reversed = chain.all.reversed().map(\.pem).joined()
        let turned = try found(reversed)
        #expect(turned.isReordered && turned.chain.certificates == chain.all)
        let repeated = try found(chain.leaf.pem + whole + chain.alien.pem)
        #expect(!repeated.isReordered)
    }

    @Test("A certificate that does not belong to the chain is named")
    func unrelated() throws {
        let alien = PKIError.unrelatedCertificate(subject: "alien", leaf: "leaf")
        #expect(throws: alien) { try CertificateChain(pem: pem(chain.all + [chain.alien])) }
        #expect(throws: alien) { try CertificateChain(pem: pem([chain.alien] + chain.all)) }
        #expect(throws: PKIError.unrelatedCertificate(subject: "root", leaf: "leaf")) {
            try CertificateChain(pem: pem([chain.leaf, chain.lower, chain.root]))
        }
        #expect(throws: PKIError.unrelatedCertificate(subject: "upper", leaf: "leaf")) {
            try CertificateChain(pem: pem([chain.upper, chain.leaf]), key: chain.leafKey)
        }
    }

    @Test("A root and its cross-signed form may be in one input")
    func crossSigned() throws {
        for mixed in [chain.all + [chain.upperAsRoot], [chain.upperAsRoot] + chain.all] {
            #expect(try CertificateChain(pem: pem(mixed)).certificates == chain.all)
        }
        let short = [chain.leaf, chain.lower, chain.upperAsRoot]
        #expect(try CertificateChain(pem: pem(short.reversed())).certificates == short)
    }

    @Test("A key that belongs to no certificate is refused by name")
    func mismatch() throws {
        let other = try PrivateKey.generate(.ecdsaP256)
        #expect(throws: PKIError.keyMismatch(subject: "leaf")) {
            try CertificateChain(pem: pem(chain.all), key: other)
        }
    }

    @Test("A CA with the issuer's name but another key is not the issuer")
    func impostor() throws {
        let first = try CertificateAuthority.makeRoot(commonName: "same", now: testNow)
        let second = try CertificateAuthority.makeRoot(commonName: "same", now: testNow)
        let leaf = try first.issue(
            for: PrivateKey.generate(.ecdsaP256), names: [.dns("a.example")], now: testNow, lifetimeSeconds: 86400)
        #expect(leaf.isIssued(by: first.certificate))
        #expect(!leaf.isIssued(by: second.certificate))
    }

    @Test("A leaf may have 19 certificates above it, and others beside them")
    func many() throws {
        let (key, leafKey) = (try Forge.Key(.p256), try Forge.Key(.p256))
        let roots = try (1...20).map { serial in
            try Forge.certificate("r", key: key, serial: serial, [.text(NID_basic_constraints, "critical,CA:TRUE")])
        }
        let leaf = try Forge.certificate("leaf", key: leafKey, from: roots[0], serial: 99, [.names("DNS:a.test")])
        func find(_ above: Int) throws -> CertificateChain.Found {
            let text = ([leaf] + roots.prefix(above)).map(\.pem).joined() + String(repeating: roots[0].pem, count: 30)
            return try CertificateChain.inOrder(
                certificatesOf: Array((text + chain.alien.pem).utf8), key: leafKey.privateKey(), now: testNow)
        }
        let found = try find(19)
        #expect(found.chain.certificates.count == 2 && found.others == [chain.alien])
        #expect(throws: PKIError.tooLarge("chain", limit: "20 certificates")) { try find(20) }
    }

    @Test("Text without certificates, with too many, or cut off, is an error")
    func limits() throws {
        #expect(throws: PKIError.noCertificate) { try CertificateChain(pem: []) }
        #expect(throws: PKIError.noCertificate) { try CertificateChain(pem: Array("hello\n".utf8)) }
        #expect(throws: PKIError.noCertificate) {
            try CertificateChain(pem: chain.leafKey.pem().array)
        }
        let many = String(repeating: chain.alien.pem, count: 101)
        #expect(throws: PKIError.tooLarge("text", limit: "100 certificates")) {
            try CertificateChain(pem: Array(many.utf8))
        }
        #expect(throws: PKIError.tooLarge("PEM text", limit: "1 MiB")) {
            try CertificateChain(pem: [UInt8](repeating: 0x20, count: 1 << 20 + 1))
        }
        let text = pem([chain.leaf, chain.lower])
        let firstBytes = chain.leaf.pem.utf8.count
        for length in 0..<text.count - 1 {
            let read = try? CertificateChain(pem: Array(text[..<length]))
            // A prefix that ends between the two certificates contains only the leaf. The leaf's last newline may be
            // missing.
            let isWhole = (firstBytes - 1...firstBytes + 10).contains(length)
            #expect(read == nil || read?.certificates == [chain.leaf] && (isWhole || length < firstBytes + 27))
        }
    }

    @Test("PEM blocks that are nested, misnamed or not base64 are errors")
    func blocks() {
        let bodies = [
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END KEY-----\n",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\nAA=A\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\nAA*A\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\nAAA==\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        ]
        for body in bodies {
            let error = #expect(throws: PKIError.self) { try CertificateChain(pem: Array(body.utf8)) }
            guard case .malformed = error else {
                Issue.record("refused for another reason: \(String(describing: error))")
                continue
            }
        }
    }

    @Test("The first certificate of a text is read without parsing the rest")
    func firstCertificate() throws {
        let text = PEM.text("CERTIFICATE", [1, 2, 3])
        for rest in ["", PEM.text("CERTIFICATE", [4]), "-----BEGIN CERTIFICATE-----\ncut off"] {
            #expect(try PEM.firstCertificate(in: Array((text + rest).utf8)) == [1, 2, 3])
            let bytes = Array((text + rest).utf8)
            #expect(PEM.firstCertificate(in: bytes, endingAt: PEM.endOfFirstBlock(in: bytes) ?? 0) == [1, 2, 3])
        }
        for other in ["", "hello", PEM.text("PRIVATE KEY", [4]) + text] {
            #expect(try PEM.firstCertificate(in: Array(other.utf8)) == nil)
        }
        #expect(throws: PKIError.self) { try PEM.firstCertificate(in: Array(text.utf8.dropLast(10))) }
    }

    @Test("PEM of any length is written as by the openssl command")
    func writing() throws {
        let folder = try Folder()
        for count in 0...200 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37) }
            let text = PEM.text("X", bytes)
            let block = try #require(try PEM.blocks(in: Array(text.utf8).span).first)
            #expect(try PEM.content(of: block, in: Array(text.utf8).span).array == bytes)
            guard count % 40 == 8 else { continue }
            let file = try folder.write(bytes, "bytes")
            let lines: [Substring] = text.split(separator: "\n").dropFirst().dropLast()
            let expected: String = lines.map { $0 + "\n" }.joined()
            #expect(try OpenSSLTool.text("base64", "-in", file) == expected)
        }
    }
}
