import ArgumentParser
import ConfigModel
import ProgramArguments
import SystemPackage

/// `aegis-apply init`: writes a first file. At a terminal it asks for the options that are left out.
struct InitCommand: ParsableCommand {
    /// The source of the host's certificate.
    enum Source: String, ExpressibleByArgument, CaseIterable {
        case local
        case letsencrypt
        case cloudflare
        case files
    }

    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Write a first aegis.yaml for a domain, an upstream and its certificate.",
        discussion: """
            At a terminal, init asks for missing options. It never overwrites a file.

            Examples:
              aegis-apply init
              aegis-apply init --domain app.test --certificates local
              aegis-apply init --domain app.example.com --upstream http://127.0.0.1:8000 \\
                --certificates letsencrypt --email ops@example.com
              aegis-apply init --domain app.example.com --certificates files --cert app.pem --key app.key --out -
            """)

    @Option(help: "The host's name.")
    var domain: String?

    @Option(help: "The server behind it (default: http://127.0.0.1:3000).")
    var upstream: String?

    @Option(
        help: """
            Where its certificate comes from: local (a CA that Aegis keeps itself), letsencrypt, cloudflare (its Origin CA) \
            or files (your own PEM files).
            """)
    var certificates: Source?

    @Option(help: "With letsencrypt: the address to which Let's Encrypt may write.")
    var email: String?

    @Option(help: "With cloudflare: the zone's identifier, from its overview page.")
    var zone: String?

    @Option(help: "With files: the certificate and its intermediates.", completion: .file())
    var cert: String?

    @Option(help: "With files: the private key.", completion: .file())
    var key: String?

    @Option(
        name: .customLong("out"), help: "The file to write (default: aegis.yaml); '-' prints it.",
        completion: .file(extensions: ["yaml", "yml"]))
    var output: String?

    @Option(
        help: "The same as --out, by the name that other commands use.", completion: .file(extensions: ["yaml", "yml"]))
    var config: String?

    private var out: String { output ?? config ?? "aegis.yaml" }

    func validate() throws {
        try ArgumentRules.check {
            if output != nil, config != nil {
                throw ValidationError("Give the file once: --out FILE or --config FILE.")
            }
            let belongs: [(String, String?, Source)] = [
                ("email", email, .letsencrypt), ("zone", zone, .cloudflare), ("cert", cert, .files),
                ("key", key, .files),
            ]
            for (option, value, source) in belongs where value != nil && certificates != source {
                throw ValidationError("--\(option) goes with --certificates \(source.rawValue).")
            }
        }
    }

    func run() throws {
        try reporting {
            guard out == "-" || !FilePath(out).exists else {
                throw CommandFailure(
                    message: "'\(out.printable)' exists",
                    hint: "name another file with --out FILE, or move that one away")
            }
            let starter = try starter(Questions())
            guard out != "-" else { return try Terminal.print(starter.text) }
            try write(starter.text)
            try Terminal.print("Wrote \(out.printable).\n\n\(nextSteps(starter))")
        }
    }

    private func write(_ text: String) throws {
        do {
            let file = try FileDescriptor.open(
                FilePath(out), .writeOnly, options: [.create, .exclusiveCreate, .closeOnExec],
                permissions: .ownerReadWrite)
            _ = try file.closeAfter { try file.writeAll(text.utf8) }
        } catch let error as Errno {
            throw CommandFailure(message: "cannot write '\(out.printable)': \(error)")
        }
    }

    private func nextSteps(_ starter: StarterFile) -> String {
        let file = out == "aegis.yaml" ? "" : " --config \(out)"
        let name = starter.domain.isWildcard ? "any.\(starter.domain.parent)" : starter.domain.text
        let authority = starter.isLocal ? " --cacert .cache/ssl/aegis-local-ca.crt" : ""
        let port = starter.httpsPort
        let address = port == 443 ? name : "\(name):\(port)"
        return """
            Next:
              aegis-apply\(file) --dry-run
                  shows what would happen
              aegis-gateway
                  serves; start it in a terminal of its own. It waits for the first apply
              aegis-apply\(file)
                  does it
              curl\(authority) --resolve \(name):\(port):127.0.0.1 https://\(address)/
                  asks it

            """
    }

    private func starter(_ questions: Questions) throws -> StarterFile {
        let domain = try questions.answer(
            domain, "--domain", "The host's name, such as app.example.com", read: DomainName.parse)
        let upstream = try questions.answer(
            upstream, "--upstream", "The server behind it", standard: "http://127.0.0.1:3000",
            read: Upstream.parse)
        let names = Source.allCases.map(\.rawValue)
        /// The file with the given answer. Throws if the file would be invalid, so that the question is asked again.
        func file(_ source: StarterFile.CertificateSource) throws(ValueFault) -> StarterFile {
            let file = StarterFile(domain: domain, upstream: upstream, source: source)
            if let fault = fault(of: file) { throw fault }
            return file
        }
        let (source, example) = try questions.answer(
            certificates?.rawValue, "--certificates",
            "Certificates from local (a CA of its own), letsencrypt, cloudflare or files", standard: "local"
        ) { (text) throws(ValueFault) in
            guard let source = Source(rawValue: text) else {
                throw ValueFault(
                    "there is no source '\(text.printable)'", hint: "one of \(names.joined(separator: ", "))")
            }
            // The domain is checked against the source at once, since not every source issues certificates for every
            // name.
            return (source, try file(source.example))
        }
        switch source {
        case .local: return example
        case .letsencrypt:
            return try questions.answer(email, "--email", "Whom Let's Encrypt may write to") {
                (text) throws(ValueFault) in try file(.letsencrypt(email: text))
            }
        case .cloudflare:
            return try questions.answer(zone, "--zone", "The zone's identifier") {
                (text) throws(ValueFault) in try file(.cloudflare(zone: text))
            }
        case .files:
            let certificate = try questions.answer(cert, "--cert", "The file of the certificate and intermediates") {
                (text) throws(ValueFault) in
                _ = try file(.files(certificate: text, key: "key.pem"))
                return text
            }
            return try questions.answer(key, "--key", "The file of the private key") {
                (text) throws(ValueFault) in try file(.files(certificate: certificate, key: text))
            }
        }
    }

    /// The first error in a file; nil if it has none.
    private func fault(of file: StarterFile) -> ValueFault? {
        let parsed = Configuration.parse(SourceText(name: out, bytes: Array(file.text.utf8)))
        guard parsed.configuration == nil else { return nil }
        return parsed.diagnostics.first { $0.severity == .error }.map { ValueFault($0.message, hint: $0.hint) }
    }
}

extension InitCommand.Source {
    /// The source with example values, for checking the other answers.
    fileprivate var example: StarterFile.CertificateSource {
        switch self {
        case .local: .local
        case .letsencrypt: .letsencrypt(email: "ops@example.com")
        case .cloudflare: .cloudflare(zone: String(repeating: "0", count: 32))
        case .files: .files(certificate: "cert.pem", key: "key.pem")
        }
    }
}
