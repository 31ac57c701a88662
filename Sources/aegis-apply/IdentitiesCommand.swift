import ArgumentParser
import ConfigModel
import Operations
import PKI
import PeerNames
import SQLiteState
import State

/// `aegis-apply identities`: lists the identities of the state, shows one, or tries one with a peer.
struct IdentitiesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "identities", abstract: "List and show identities, and try one with a peer.",
        subcommands: [ListIdentities.self, ShowIdentity.self, CheckIdentity.self],
        defaultSubcommand: ListIdentities.self)
}

struct ListIdentities: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List all identities, and whether they can be used.",
        discussion: "The command reads identities as the gateway does, but on this machine. It makes none.")

    @OptionGroup var options: StateOptions

    @Option(help: "How to print it: text or json.")
    var format = OutputFormat.text

    func run() throws {
        try reporting {
            let store = try options.openForReading()
            let list = try IdentityList(store)
            switch format {
            case .json:
                let report = PlainValue.map([
                    ("format_version", .int(1)), ("identities", .list(list.identities.map(\.value))),
                ])
                try Terminal.print(report.json(indented: true) + [UInt8(ascii: "\n")])
            case .text:
                let rows = list.identities.map { identity in
                    let leaf = identity.chain.first
                    return [
                        identity.name, identity.source, leaf?.subject ?? "",
                        leaf?.allNames.joined(separator: ", ") ?? "", identity.timeLeft, identity.state,
                    ]
                }
                try Terminal.print(
                    rows.isEmpty
                        ? "no identities\n"
                        : TextTable(["NAME", "SOURCE", "SUBJECT", "SANS", "ENDS IN", "STATE"], rows).text)
            }
        }
    }
}

struct ShowIdentity: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show one identity, its chain, and the CAs of its peers.")

    @Argument(help: "The identity's name.")
    var name: String

    @OptionGroup var options: StateOptions

    @Option(help: "How to print it: text or json.")
    var format = OutputFormat.text

    func run() throws {
        try reporting {
            let store = try options.openForReading()
            let identity = try IdentityList(store).required(name)
            switch format {
            case .json: try Terminal.print(identity.fullValue.json(indented: true) + [UInt8(ascii: "\n")])
            case .text: try Terminal.print(identity.text)
            }
        }
    }
}

extension LoadedIdentity {
    fileprivate var fullValue: PlainValue {
        guard case .object(let entries) = value else { return value }
        return .map(
            entries.map { ($0.key, $0.value) } + [
                ("chain", .list(chain.map(\.value))), ("authorities", .list(authorities.map(\.value))),
                ("verify_chain", .bool(settings?.peers.verifiesChain ?? true)),
                ("required_sans", .list((settings?.peers.requiredSANs ?? []).map { .string($0.text) })),
                ("allow_expired", .bool(settings?.peers.allowsExpired ?? false)),
            ])
    }

    fileprivate var text: String {
        var lines = [("name", name), ("source", source), ("state", state)]
        if let expiresAt {
            lines.append(("ends", "\(UTCTime.text(expiresAt)), \(hasExpired ? "" : "in ")\(timeLeft)"))
        }
        if let warning { lines.append(("warning", warning)) }
        let names = settings?.peers.requiredSANs.map(\.text) ?? []
        if !names.isEmpty { lines.append(("required_sans", names.joined(separator: ", "))) }
        let facts = lines.map { key, value in
            key + String(repeating: " ", count: max(1, 15 - key.count)) + value.printable + "\n"
        }.joined()
        return facts + Self.table("CHAIN", chain) + Self.table("CAS OF PEERS", authorities)
    }

    private static func table(_ title: String, _ certificates: [PeerCertificate]) -> String {
        guard !certificates.isEmpty else { return "" }
        let rows = certificates.map {
            [
                $0.subject, $0.issuer, $0.allNames.joined(separator: ", "), $0.notAfter.map(UTCTime.text) ?? "",
                $0.fingerprint,
            ]
        }
        return "\n" + TextTable([title, "ISSUER", "SANS", "EXPIRES", "SHA-256"], rows).text
    }
}
