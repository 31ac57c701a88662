import ArgumentParser
import ConfigModel
import Issuers
import Operations
import PKI
import Reconciler
import SQLiteState
import State
import SystemPackage

/// `aegis-apply accounts`: lists the accounts at CAs, and changes their keys.
struct AccountsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "accounts", abstract: "List accounts at CAs, and give one another key.",
        subcommands: [ListAccounts.self, ChangeAccountKey.self], defaultSubcommand: ListAccounts.self)
}

struct ListAccounts: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the accounts.")

    @OptionGroup var options: StateOptions

    @Option(help: "How to print it: text or json.")
    var format = OutputFormat.text

    func run() throws {
        try reporting {
            let accounts = try options.openForReading().accounts()
            switch format {
            case .json:
                let report = PlainValue.map([
                    ("format_version", .int(1)), ("accounts", .list(accounts.map(\.value))),
                ])
                try Terminal.print(report.json(indented: true) + [UInt8(ascii: "\n")])
            case .text:
                let rows = accounts.map { account in
                    [account.id.directory, account.url ?? "", account.contact, UTCTime.text(account.createdAt)]
                }
                try Terminal.print(
                    rows.isEmpty
                        ? "no accounts\n" : TextTable(["DIRECTORY", "ACCOUNT", "CONTACT", "CREATED"], rows).text)
            }
        }
    }
}

struct ChangeAccountKey: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollover", abstract: "Give the account of an issuer another key (RFC 8555 section 7.3.5).")

    @Argument(help: "The issuer's name in the file.")
    var issuer: String

    @OptionGroup var options: StateOptions

    func run() throws {
        try reporting {
            let access = try IssuerAccess(options)
            defer { access.store.close() }
            let settings = try access.state.acmeIssuer(named: issuer)
            do {
                let orders = ACMEOrders(access.context, board: access.state.board(access.context))
                try tellingOfWaits(for: settings.directory.text) { try orders.changeAccountKey(at: settings) }
            } catch let error as IssuanceFailure {
                throw CommandFailure(message: "issuer '\(issuer)': \(error.reason)", hint: error.hint)
            }
            try Terminal.print("The account at \(settings.directory.text) has another key now.\n")
        }
    }
}

/// An open state, and the context for calls to the CAs of its issuers.
struct IssuerAccess {
    let store: SQLiteStateStore
    let state: ManagedState
    let context: IssuanceContext

    init(_ options: StateOptions) throws {
        let known = try options.configuration()
        store = try SQLiteStateStore(path: options.openForReading().path)
        state = try ManagedState(store)
        let directory = FilePath(try store.directory() ?? ".")
        let source = try MasterKeySource.find(known?.configuration, SecretReader(directory: directory), store)
        let sealer = Sealer(key: source.key)
        context = IssuanceContext(
            store: store, holder: .current(), sealer: sealer,
            secrets: SecretReader(directory: directory, store: store, sealer: sealer), now: currentTime)
    }
}

extension IssuerAccess {
    /// Revokes replaced certificates, and prints each result.
    func revokeSuperseded(_ stop: StopRequest) throws {
        try context.revokeSuperseded(issuers: Array(state.issuers.values), stop).tell()
    }
}

extension IssuanceContext {
    /// Revokes replaced certificates. `issuers` are the issuers that stay in force; `leaving` are the issuers that this
    /// apply has removed. After a request to stop, the next apply or a gateway revokes the rest.
    func revokeSuperseded(
        issuers: [Issuer], leaving: [Issuer] = [], _ stop: StopRequest
    ) throws -> [OriginRevocations.Outcome] {
        try tellingOfWaits(for: "the revocation of former certificates", until: stop) {
            try OriginRevocations(self).revokeSuperseded(issuers: issuers, leaving: leaving)
        } ?? []
    }
}

extension [OriginRevocations.Outcome] {
    /// Prints that each former certificate was revoked, or why it was not.
    func tell() throws {
        for outcome in self {
            guard let failure = outcome.failure else {
                try? Terminal.print("Revoked the former certificate of '\(outcome.certificate)'.\n")
                continue
            }
            let later = "it is tried again by the next apply, and by a gateway that runs"
            let hint = [failure.hint, outcome.isGivenUp ? nil : later].compactMap(\.self).joined(separator: "; ")
            Terminal.complain(
                "aegis-apply: the former certificate of '\(outcome.certificate)' is not revoked: \(failure.reason)\n"
                    + "hint: \(hint)\n")
        }
    }
}

extension CAAccount {
    fileprivate var value: PlainValue {
        .map([
            ("directory", .string(id.directory)), ("external_key_id", .string(id.externalKeyID)),
            ("url", url.map(PlainValue.string) ?? .null), ("contact", .string(contact)),
            ("created_at", .string(UTCTime.rfc3339(createdAt))),
        ])
    }
}
