import ArgumentParser
import ConfigModel
import Gateway
import Issuers
import Materials
import Operations
import PKI
import PeerNames
import ProgramArguments
import SQLiteState
import State

/// `aegis-apply identities check`: tries a TLS handshake with a peer, and shows the identity's certificate as a client.
struct CheckIdentity: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Try a TLS handshake with a peer, as a client of an identity.",
        discussion: """
            Shows what the peer presents, whether the identity's CAs and rules accept that, and whether the peer asks for
            the identity's certificate and refuses it. Nothing but the handshake is sent.

            Example: aegis-apply identities check mesh '[2001:db8::5]:8443' --server-name app.internal
            """)

    @Argument(help: "The identity's name.")
    var name: String

    @Argument(help: "The peer: host:port, an IPv6 address in brackets; 443 without a port.")
    var address: String

    @Option(help: "The name or address that the peer's certificate must be for; else the peer's own.")
    var serverName: String?

    @Option(help: "How long to wait for the peer, in seconds.")
    var timeout = 10

    @OptionGroup var options: StateOptions

    @Option(help: "How to print it: text or json.")
    var format = OutputFormat.text

    func validate() throws {
        try ArgumentRules.check {
            guard (1...300).contains(timeout) else { throw ValidationError("--timeout is from 1 to 300 seconds") }
            _ = try peer()
        }
    }

    /// The peer's host and port. An IPv6 address has no brackets.
    private func peer() throws -> (host: String, port: Int) {
        let text = address.hasPrefix("https://") ? address : "https://\(address)"
        do throws(ValueFault) {
            guard case .https(let host, let port) = try Upstream.parse(text).transport else {
                throw ValueFault("bad address")
            }
            return (host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host, port)
        } catch {
            let hint = error.hint.map { " (\($0))" } ?? ""
            throw ValidationError("bad address '\(address.printable)': write it as host:port\(hint)")
        }
    }

    func run() throws {
        let isGood = try reporting {
            let known = try options.configuration()
            let store = try options.openForReading(known)
            let loaded = try IdentityList(store).required(name)
            guard let identity = try loaded.identity ?? obtained(loaded, store, known), let settings = loaded.settings
            else {
                throw CommandFailure(message: "identity '\(name)' \(loaded.state)", status: ExitStatus.itemsFailed)
            }
            let peer = try peer()
            let probe = PeerProbe(
                host: peer.host, port: peer.port, serverName: serverName ?? peer.host,
                trust: try trust(identity, settings), credential: identity.credential)
            let report = probe.run(timeoutMilliseconds: Int64(timeout) * 1000)
            try print(report, for: serverName ?? peer.host)
            return report.isGood
        }
        if !isGood { throw ExitStatus.itemsFailed }
    }

    /// The identity that gateways have obtained from a Vault; nil if there is none.
    private func obtained(
        _ loaded: LoadedIdentity, _ store: SQLiteStateStore,
        _ known: (file: ConfigurationFile, configuration: Configuration)?
    ) throws -> Identity? {
        guard let obtained = loaded.obtained else { return nil }
        let reader = SecretReader(directory: known?.file.directory ?? ".")
        let source = try MasterKeySource.find(known?.configuration, reader, store)
        do {
            return try obtained.identity(Sealer(key: source.key), now: currentTime())
        } catch {
            throw CommandFailure(
                message: "identity '\(name)' can't be used: \(error)", status: ExitStatus.itemsFailed)
        }
    }

    /// The rules for a server to which the identity is shown: it must have a certificate from the identity's CAs, or
    /// from the system's CAs if the identity has none.
    private func trust(_ identity: Identity, _ settings: NamedIdentity) throws -> PeerTrust {
        let requirements = settings.peers
        do throws(PKIError) {
            let rules = try PeerRules(
                purpose: .server, authorities: identity.authorities, requiredNames: requirements.requiredSANs,
                verifiesChain: requirements.verifiesChain, allowsExpired: requirements.allowsExpired,
                trustsSystem: identity.authorities.isEmpty)
            return try PeerTrust(rules: rules, now: currentTime)
        } catch {
            throw CommandFailure(message: "identity '\(name)': its CAs can't be used: \(error)")
        }
    }

    // MARK: Printing

    private func print(_ report: PeerProbe.Report, for serverName: String) throws {
        let chain = report.chain.compactMap { try? PeerCertificate(der: $0) }
        switch format {
        case .json:
            let value = PlainValue.map([
                ("format_version", .int(1)), ("identity", .string(name)), ("address", .string(address)),
                ("server_name", .string(serverName)), ("is_good", .bool(report.isGood)),
                ("failure", report.failure.map(PlainValue.string) ?? .null),
                ("tls_version", report.version.map { .string($0.text) } ?? .null),
                ("peer_chain", .list(chain.map(\.value))),
                ("peer_trusted", chain.isEmpty ? .null : .bool(report.refusal == nil)),
                ("peer_refusal", report.refusal.map { .string($0.words) } ?? .null),
                ("peer_refusal_reason", report.refusal.map { .string($0.reason.rawValue) } ?? .null),
                ("certificate_asked", .bool(report.isAsked)), ("certificate", .string(report.ours.word)),
                ("certificate_refusal", report.ours.refusal.map(PlainValue.string) ?? .null),
            ])
            try Terminal.print(value.json(indented: true) + [UInt8(ascii: "\n")])
        case .text: try Terminal.print(Self.text(report, chain))
        }
    }

    private static func text(_ report: PeerProbe.Report, _ chain: [PeerCertificate]) -> String {
        var lines: [String] = []
        if let version = report.version { lines.append("handshake: TLS \(version.text)") }
        if let failure = report.failure { lines.append("problem: \(failure)") }
        if let leaf = chain.first {
            lines.append("peer: \(leaf.subject.isEmpty ? "(no subject)" : leaf.subject)")
            lines.append("  sans: \(leaf.allNames.joined(separator: ", "))")
            lines.append("  issuer: \(leaf.issuer)")
            if let end = leaf.notAfter { lines.append("  expires: \(UTCTime.text(end))") }
            for above in chain.dropFirst() { lines.append("  sent with it: \(above.subject)") }
            lines.append(report.refusal.map { "problem: \($0.words)" } ?? "peer is trusted")
        }
        if report.failure == nil || report.isAsked { lines.append(report.ours.text) }
        return lines.map { $0.printable + "\n" }.joined()
    }
}

extension PeerProbe.Report.ClientCertificateOutcome {
    fileprivate var word: String {
        switch self {
        case .notAsked: "not_asked"
        case .unopposed: "unopposed"
        case .refused: "refused"
        }
    }

    fileprivate var refusal: String? { if case .refused(let reason) = self { reason } else { nil } }

    fileprivate var text: String {
        switch self {
        case .notAsked: "the peer asks for no certificate"
        case .unopposed: "the peer asked for the identity's certificate, and has not objected to it"
        case .refused(let reason): "problem: the peer asked for the identity's certificate and refused it: \(reason)"
        }
    }
}

extension TLSConnection.Version {
    fileprivate var text: String { self == .v1_3 ? "1.3" : "1.2" }
}
