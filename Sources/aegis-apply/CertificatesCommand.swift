import ArgumentParser
import ConfigModel
import Glibc
import Issuers
import Operations
import PKI
import PrivateFiles
import Reconciler
import SQLiteState
import State
import SystemPackage

/// `aegis-apply certificates`: lists the certificates of the state, shows one, or exports it.
struct CertificatesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "certificates", abstract: "List, show, export and revoke certificates.",
        subcommands: [
            ListCertificates.self, ShowCertificate.self, ExportCertificate.self, RevokeCertificate.self,
        ],
        defaultSubcommand: ListCertificates.self)
}

struct ListCertificates: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List all certificates, also kept ones that are not in force.")

    @OptionGroup var options: StateOptions

    @Option(help: "How to print it: text or json.")
    var format = OutputFormat.text

    func run() throws {
        try reporting {
            let known = try options.configuration()
            let store = try options.openForReading(known)
            let snapshot = try store.snapshot()
            let faults = try store.chainFindings(now: currentTime()).faults
            let items = snapshot.items.filter { $0.key.kind == .certificate }.sorted { $0.key < $1.key }
            let kept = snapshot.kept.sorted { $0.key < $1.key }
            let certificates =
                items.compactMap { id, item in
                    item.certificate.map { (id.name, $0, Keeping?.none, $0.loss ?? faults[id.name]) }
                }
                + kept.compactMap { name, kept in
                    kept.item.certificate.map { (name, $0, Keeping(kept, known?.configuration.retention), $0.loss) }
                }
            switch format {
            case .json:
                let report = PlainValue.map([
                    ("format_version", .int(1)),
                    ("certificates", .list(certificates.map { $1.value(named: $0, $2, problem: $3) })),
                ])
                try Terminal.print(report.json(indented: true) + [UInt8(ascii: "\n")])
            case .text:
                let rows = certificates.map { name, facts, keeping, problem in
                    [
                        name, facts.domains.joined(separator: ", "), facts.source.rawValue, facts.issuerCommonName,
                        UTCTime.text(facts.expiresAt), keeping?.text ?? "", problem ?? "",
                    ]
                }
                try Terminal.print(
                    TextTable(["NAME", "DOMAINS", "SOURCE", "ISSUER", "EXPIRES", "KEPT", "PROBLEM"], rows).text)
            }
        }
    }
}

struct ShowCertificate: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show one certificate.")

    @Argument(help: "The certificate's name; for a host's own certificate, the host's domain.")
    var name: String

    @OptionGroup var options: StateOptions

    @Option(help: "How to print it: text or json.")
    var format = OutputFormat.text

    func run() throws {
        try reporting {
            let known = try options.configuration()
            let store = try options.openForReading(known)
            let certificate = try store.required(name)
            let kept = try store.snapshot().kept[name].map { Keeping($0, known?.configuration.retention) }
            var chains = try ChainFaults(now: currentTime(), of: store)
            let problem = certificate.facts.loss ?? (kept == nil ? chains.fault(of: certificate) : nil)
            let value = certificate.facts.value(named: name, kept, problem: problem, remote: certificate.remote)
            switch format {
            case .json: try Terminal.print(value.json(indented: true) + [UInt8(ascii: "\n")])
            case .text:
                let lines = value.lines
                let width = lines.map(\.0.count).max() ?? 0
                for (key, value) in lines {
                    try Terminal.print(key + String(repeating: " ", count: width - key.count + 2) + value + "\n")
                }
            }
        }
    }
}

struct ExportCertificate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write a certificate's chain to a file, on request with its private key.")

    @Argument(help: "The certificate's name; for a host's own certificate, the host's domain.")
    var name: String

    @Option(help: "The file to write, made for you alone; '-' is the standard output.", completion: .file())
    var out: String

    @Flag(help: "Write the private key too, in plain text.")
    var withKey = false

    @Flag(help: "Replace the file if it exists.")
    var force = false

    @OptionGroup var options: StateOptions

    func run() throws {
        try reporting {
            try refuseExistingFile()
            let known = try options.configuration()
            let store = try options.openForReading(known)
            let certificate = try store.required(name)
            let content = SecretBytes(certificate.chain)
            try write(withKey ? SecretBytes(joining: [content, key(of: certificate, store, known)]) : content)
        }
    }

    private var isOutput: Bool { ["-", "/dev/stdout"].contains(out) }

    /// Throws when the file exists and may not be replaced: it may hold the only copy of a private key.
    private func refuseExistingFile() throws {
        guard !force, !isOutput, let type = try? FilePath(out).stat(followTargetSymlink: false).type, type == .regular
        else { return }
        throw CommandFailure(message: "'\(out.printable)' exists", hint: "--force replaces it")
    }

    private func write(_ content: SecretBytes) throws {
        if isOutput, withKey, isatty(STDOUT_FILENO) == 1 {
            throw CommandFailure(
                message: "a private key is not shown on a terminal", hint: "name a file, or pass it on by a pipe")
        }
        do {
            if isOutput {
                try PrivateFile.write(content, to: .standardOutput)
            } else {
                try PrivateFile.write(content, to: FilePath(out))
            }
        } catch {
            throw CommandFailure(message: "cannot write '\(out)': \(error)")
        }
    }

    private func key(
        of certificate: StoredCertificate, _ store: SQLiteStateStore,
        _ known: (file: ConfigurationFile, configuration: Configuration)?
    ) throws -> SecretBytes {
        let reader = SecretReader(directory: known?.file.directory ?? ".")
        let source = try MasterKeySource.find(known?.configuration, reader, store)
        do {
            return try PrivateKey(der: certificate.openKey(Sealer(key: source.key))).pem()
        } catch {
            throw CommandFailure(message: "the key of certificate '\(name)': \(error)")
        }
    }
}

extension SQLiteStateStore {
    /// A certificate that is in force or kept. Throws an OperationFailure when there is none of that name.
    func required(_ name: String) throws -> StoredCertificate {
        if let certificate = try certificate(named: name) ?? keptCertificate(named: name) { return certificate }
        let snapshot = try snapshot()
        let names = snapshot.items.keys.filter { $0.kind == .certificate }.map(\.name) + snapshot.kept.keys
        throw OperationFailure.noCertificate(name, among: names.sorted())
    }
}

/// When a kept certificate was taken out of force, and until when it is kept.
private struct Keeping {
    private let since: Int64
    /// Until when the certificate is kept, in seconds since 1970. Nil if the file was not read, since the file sets how
    /// long certificates are kept.
    private let until: Int64?

    init(_ kept: KeptCertificate, _ retention: Duration?) {
        since = kept.since
        until = retention.map { kept.end(retention: $0.components.seconds) }
    }

    var text: String { until.map { "until \(UTCTime.text($0))" } ?? "since \(UTCTime.text(since))" }

    var entries: [(String, PlainValue)] {
        [
            ("kept_since", .string(UTCTime.rfc3339(since))),
            ("kept_until", until.map { .string(UTCTime.rfc3339($0)) } ?? .null),
        ]
    }

    static let none = [("kept_since", PlainValue.null), ("kept_until", .null)]
}

extension CertificateFacts {
    fileprivate func value(
        named name: String, _ keeping: Keeping?, problem: String?, remote: RemoteCertificate? = nil
    ) -> PlainValue {
        let provider = remote.map { [("provider_id", PlainValue.string($0.id))] } ?? []
        return .map(
            [
                ("name", .string(name)), ("domains", .list(domains.map(PlainValue.string))),
                ("source", .string(source.rawValue)), ("issuer", .string(issuerCommonName)),
                ("not_before", .string(UTCTime.rfc3339(notBefore))),
                ("expires_at", .string(UTCTime.rfc3339(expiresAt))),
                ("auto_renew", .bool(autoRenew)), ("created_at", .string(UTCTime.rfc3339(createdAt))),
                ("fingerprint", .string(fingerprint)), ("problem", problem.map(PlainValue.string) ?? .null),
            ] + (keeping?.entries ?? Keeping.none) + provider)
    }
}

extension PlainValue {
    /// The members of an object, as names and texts. Members that are null are left out.
    fileprivate var lines: [(String, String)] {
        guard case .object(let entries) = self else { return [] }
        return entries.filter { $0.value != .null }.map { ($0.key, $0.value.line) }
    }

    private var line: String {
        switch self {
        case .string(let text): text
        case .list(let items): items.map(\.line).joined(separator: ", ")
        default: String(decoding: json(), as: UTF8.self)
        }
    }
}
