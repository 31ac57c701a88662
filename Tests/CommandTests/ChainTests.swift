import Foundation
import PKI
import TestSupport
import Testing

/// Chains of an operator's own certificates: what the gateway sends, and which warnings an operator gets before clients
/// fail.
@Suite struct ChainTests {
    private static let key = String(repeating: "0123456789abcdef", count: 4)
    private static let text = """
        version: 1
        state: { path: state.db }
        certificates:
          own: { source: custom, cert: { file: own.pem }, key: { file: own.key } }
        hosts:
          - { domain: own.example.com, respond: {}, ssl_mode: custom, certificate: own }

        """

    private let folder: TemporaryFolder

    /// Makes a root `top`, a key for an intermediate below it, and a key for the leaf.
    init() throws {
        folder = try TemporaryFolder()
        _ = try folder.file("aegis.yaml", Self.text)
        _ = try folder.file(
            "config",
            """
            [ca]
            default_ca = d
            [d]
            database = index
            new_certs_dir = .
            rand_serial = yes
            policy = p
            default_md = sha256
            unique_subject = no
            [p]
            commonName = supplied
            [authority]
            basicConstraints = critical,CA:TRUE
            subjectKeyIdentifier = hash
            [leaf]
            subjectAltName = DNS:own.example.com
            authorityInfoAccess = caIssuers;URI:http://ca.test/issuing.der

            """)
        _ = try folder.file("index", "")
        for name in ["top", "issuing", "own", "old"] {
            try openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out \(name).key")
            try openssl("req -new -key \(name).key -subj /CN=\(name) -out \(name).csr")
        }
        try issue("top", from: nil, as: "authority", days: -1000, 1000)
    }

    private func openssl(_ words: String) throws {
        let outcome = try Tool.run("sh", "-c", "cd '\(folder.path)' && openssl \(words) 2>&1")
        try #require(outcome.status == 0, "\(outcome.output)")
    }

    /// Makes a certificate that is valid from and to these days from now. `file` is the name of its file; nil for the
    /// subject.
    @discardableResult
    private func issue(
        _ subject: String, from issuer: String?, as role: String, days from: Int, _ to: Int, file: String? = nil
    ) throws -> String {
        let file = file ?? subject
        let signer = issuer.map { "-cert \($0).crt -keyfile \($0).key" } ?? "-selfsign -keyfile \(subject).key"
        try openssl(
            "ca -batch -config config \(signer) -in \(subject).csr -notext -extensions \(role) -out \(file).crt"
                + " -startdate \(Self.time(from)) -enddate \(Self.time(to))")
        return try String(contentsOfFile: folder.path("\(file).crt"), encoding: .utf8)
    }

    private static func time(_ days: Int) -> String {
        let date = Date().addingTimeInterval(Double(days) * 86_400)
        let format = DateFormatter()
        format.timeZone = TimeZone(identifier: "UTC")
        format.locale = Locale(identifier: "en_US_POSIX")
        format.dateFormat = "yyyyMMddHHmmss'Z'"
        return format.string(from: date)
    }

    private func run(_ arguments: String...) throws -> ApplyProgram.Outcome {
        try ApplyProgram.run(arguments, in: folder.path, environment: ["AEGIS_SSL_KEY": Self.key])
    }

    /// The stored chain: subject and issuer of each certificate, in order.
    private func shown() throws -> [String] {
        let query = "SELECT chain FROM certificates"
        let script = "cd '\(folder.path)' && sqlite3 state.db '\(query)' > shown.pem"
        try #require(try Tool.run("sh", "-c", script).status == 0)
        return try CertificateChain(pem: Array(Data(contentsOf: URL(fileURLWithPath: folder.path("shown.pem")))))
            .certificates.map(\.fingerprint)
    }

    private func fingerprint(_ pem: String) throws -> String {
        try CertificateChain(pem: Array(pem.utf8)).leaf.fingerprint
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// The validity of the intermediate in days from now; nil if the chain has none.
        let days: (Int, Int)?
        let words: [String]
    }

    static let cases = [
        Case(testDescription: "good", days: (-10, 500), words: []),
        Case(
            testDescription: "expired", days: (-10, -5),
            words: ["certificate 'own' has an intermediate that has expired: 'issuing' on 20"]),
        Case(
            testDescription: "not yet valid", days: (5, 500),
            words: ["certificate 'own' has an intermediate that is not valid yet: 'issuing' begins on 20"]),
        Case(
            testDescription: "ends first", days: (-10, 40),
            words: ["certificate 'own' is valid until 20", "but above it 'issuing' ends first, on 20"]),
        Case(
            testDescription: "missing", days: nil,
            words: [
                "certificate 'own' has no intermediate: clients refuse it unless they know 'issuing'",
                "http://ca.test/issuing.der",
            ]),
    ]

    @Test(
        "Plans and applies warn of faults above a leaf, but use the chain",
        arguments: cases)
    func warnings(_ test: Case) throws {
        try issue("issuing", from: "top", as: "authority", days: -10, 500)
        let leaf = try issue("own", from: "issuing", as: "leaf", days: -1, 90)
        let above = try test.days.map {
            try issue("issuing", from: "top", as: "authority", days: $0.0, $0.1, file: "above")
        }
        _ = try folder.file("own.pem", leaf + (above ?? ""))
        let plan = try run("--dry-run")
        let outcome = try run()
        #expect(plan.status == 0 && outcome.status == 0, "\(plan.errors) \(outcome.errors)")
        for words in test.words {
            #expect(plan.output.contains(words), "\(plan.output)")
            #expect(outcome.errors.contains(words.replacing("certificate 'own' ", with: "")), "\(outcome.errors)")
        }
        #expect(outcome.errors.contains("warning: ") == !test.words.isEmpty, "\(outcome.errors)")
    }

    @Test("A renewed intermediate replaces the expired one, and the shown expiry is the chain's")
    func renewedIntermediate() throws {
        try issue("issuing", from: "top", as: "authority", days: -10, 500)
        let leaf = try issue("own", from: "issuing", as: "leaf", days: -1, 90)
        let expired = try issue("issuing", from: "top", as: "authority", days: -100, -1, file: "expired")
        let renewed = try issue("issuing", from: "top", as: "authority", days: -2, 20, file: "renewed")
        _ = try folder.file("own.pem", leaf + expired + renewed)
        let outcome = try run()
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(!outcome.errors.contains("has expired"), "\(outcome.errors)")
        #expect(try shown() == [fingerprint(leaf), fingerprint(renewed)])
        let status = try run("status").output
        #expect(
            status.contains("expires soon") && (status.contains("19 days") || status.contains("20 days")), "\(status)")
        #expect(try run("--dry-run").output.contains("certificate 'own' expires on 20"))
    }

    @Test("An expired cross-signed certificate above a valid chain is left out, with a note")
    func expiredCrossSign() throws {
        try issue("old", from: nil, as: "authority", days: -1000, 1000)
        let issuing = try issue("issuing", from: "top", as: "authority", days: -10, 500)
        let leaf = try issue("own", from: "issuing", as: "leaf", days: -1, 90)
        let cross = try issue("top", from: "old", as: "authority", days: -100, -5, file: "cross")
        _ = try folder.file("own.pem", leaf + issuing + cross)
        let outcome = try run()
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.errors.components(separatedBy: "warning: ").count == 2, "\(outcome.errors)")
        #expect(outcome.errors.contains("is shown without 'top' at the end of its chain, which has expired on 20"))
        #expect(try shown() == [fingerprint(leaf), fingerprint(issuing)])
        let status = try run("status").output
        #expect(!status.contains("expired") && !status.contains("expires soon"), "\(status)")
    }

    @Test("A damaged PEM block, or explicit curve parameters, are refused with the line or a command")
    func refused() throws {
        try issue("issuing", from: "top", as: "authority", days: -10, 500)
        let leaf = try issue("own", from: "issuing", as: "leaf", days: -1, 90)
        let above = try String(contentsOfFile: folder.path("issuing.crt"), encoding: .utf8)
        let lines = leaf.split(separator: "\n").count
        func expectRefusal(_ words: String) throws {
            let plan = try run("--dry-run")
            #expect(plan.status == 3 && plan.errors.contains(words), "\(plan.errors)")
            let outcome = try run()
            #expect(outcome.status == 3 && outcome.errors.contains(words), "\(outcome.errors)")
        }
        _ = try folder.file("own.pem", leaf + above.replacing("-----BEGIN", with: "----BEGIN"))
        try expectRefusal("line \(lines + 1) is damaged: it must read '-----BEGIN CERTIFICATE-----'")
        _ = try folder.file("own.pem", leaf.trimmingCharacters(in: .newlines) + above)
        try expectRefusal("line \(lines) ends one block and begins the next")
        _ = try folder.file("own.pem", leaf + above)
        try openssl("pkey -in own.key -ec_param_enc explicit -out explicit.key")
        try openssl("pkey -in explicit.key -ec_param_enc explicit -out own.key")
        let command = "openssl pkey -in KEY -ec_param_enc named_curve -out NEW_KEY"
        try expectRefusal(command)
        try openssl(
            command.replacing("openssl ", with: "").replacing("NEW_KEY", with: "new.key").replacing(
                "KEY", with: "own.key"))
        try openssl("pkey -in new.key -out own.key")
        #expect(try run().status == 0)
    }
}
