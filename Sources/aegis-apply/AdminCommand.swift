import ArgumentParser
import ConfigModel
import Issuers
import Operations
import PKI
import ProgramArguments
import SQLiteState
import State

/// `aegis-apply admin`: manages access to the admin API.
struct AdminCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "admin", abstract: "Manage access to the admin API of the gateways and to its page.",
        subcommands: [TokenCommand.self, LoginCommand.self])
}

struct TokenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token", abstract: "Make, list and revoke tokens for the admin API.",
        subcommands: [CreateToken.self, ListTokens.self, RevokeToken.self], defaultSubcommand: ListTokens.self)
}

struct CreateToken: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Make a token and print it. It is not shown again.",
        discussion: "The state keeps only a digest. If a token is lost, revoke it and make another one.")

    @Argument(
        help: "The token's name: letters, digits, '.', '_', '-' and '@'. Events name the token that made a change.")
    var name: String

    @Option(help: "What the token allows: read or write.")
    var scope = AccessToken.Scope.read

    @Option(help: "How long the token is valid, such as 90d; left out: until it is revoked.")
    var expires: TokenLife?

    @OptionGroup var options: StateOptions

    func validate() throws {
        try ArgumentRules.check {
            let isName = name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "._-@".utf8.contains(byte)
                }
            }
            guard isName, (1...100).contains(name.utf8.count) else {
                throw ValidationError("A token's name has 1 to 100 letters, digits and characters of '._-@'.")
            }
        }
    }

    func run() throws {
        try reporting {
            let store = try options.openForWriting()
            defer { store.close() }
            let text: String
            do {
                text = try AccessSecret.token.make()
            } catch {
                throw CommandFailure(message: "no token can be made: \(error)")
            }
            guard let digest = AccessSecret.token.digest(of: text) else { preconditionFailure("our own token is one") }
            let now = currentTime()
            let actor = LeaseHolder.current().actor
            let token = AccessToken(
                name: name, scope: scope, digest: digest, createdAt: now, createdBy: actor,
                expiresAt: expires.map { now + $0.seconds })
            let event = TokenEvent.make("create-token", name, by: actor, now, ["scope": scope.rawValue])
            guard try store.addAccessToken(token, event: event) else {
                if try store.accessTokens().contains(where: { $0.name == name }) {
                    throw CommandFailure(
                        message: "there is a token '\(name)' already",
                        hint: "'aegis-apply admin token revoke \(name)' ends it")
                }
                throw CommandFailure(
                    message: "there are \(AccessToken.most) tokens, which is the most", hint: "revoke some")
            }
            try Terminal.print(text + "\n")
            Terminal.complain("It is shown only now. Send it as 'Authorization: Bearer …'.\n")
        }
    }
}

struct ListTokens: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the tokens.")

    @OptionGroup var options: StateOptions

    @Option(help: "How to print it: text or json.")
    var format = OutputFormat.text

    func run() throws {
        try reporting {
            let tokens = try options.openForReading().accessTokens()
            let now = currentTime()
            switch format {
            case .json:
                let report = PlainValue.map([
                    ("format_version", .int(1)), ("tokens", .list(tokens.map { $0.value(at: now) })),
                ])
                try Terminal.print(report.json(indented: true) + [UInt8(ascii: "\n")])
            case .text:
                let rows = tokens.map { token in
                    [
                        token.name, token.scope.rawValue, UTCTime.text(token.createdAt), token.createdBy,
                        token.expiresAt.map { UTCTime.text($0) + (token.isExpired(at: now) ? " (expired)" : "") } ?? "",
                        token.lastUsedAt.map(UTCTime.text) ?? "never",
                    ]
                }
                let titles = ["NAME", "SCOPE", "CREATED", "BY", "EXPIRES", "LAST USED"]
                try Terminal.print(rows.isEmpty ? "no tokens\n" : TextTable(titles, rows).text)
            }
        }
    }
}

struct RevokeToken: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Revoke a token. Gateways refuse it from the next request on.")

    @Argument(help: "The token's name.")
    var name: String

    @OptionGroup var options: StateOptions

    func run() throws {
        try reporting {
            let store = try options.openForWriting()
            defer { store.close() }
            let event = TokenEvent.make("revoke-token", name, by: LeaseHolder.current().actor, currentTime())
            guard try store.deleteAccessToken(named: name, event: event) else {
                let near = Suggestion.nearest(to: name, in: try store.accessTokens().map(\.name))
                throw CommandFailure(
                    message: "there is no token '\(name)'",
                    hint: near.map { "did you mean '\($0)'?" } ?? "'aegis-apply admin token list' lists them")
            }
            try Terminal.print("The token '\(name)' is revoked.\n")
        }
    }
}

private enum TokenEvent {
    /// A token is not an item, so its events belong to the item `gateway`.
    static func make(
        _ action: String, _ name: String, by actor: String, _ now: Int64, _ details: [String: String] = [:]
    ) -> AuditEvent {
        AuditEvent(
            at: now, actor: actor, action: action, item: ItemID(single: .gateway),
            details: details.merging(["token": name]) { first, _ in first })
    }
}

/// How long a token can be used.
struct TokenLife: ExpressibleByArgument {
    let seconds: Int64

    init?(argument: String) {
        guard let duration = try? TimeSpan.parse(argument), duration >= .seconds(1) else { return nil }
        seconds = duration.components.seconds
    }
}

extension AccessToken.Scope: ExpressibleByArgument {}

extension AccessToken {
    fileprivate func value(at now: Int64) -> PlainValue {
        .map([
            ("name", .string(name)), ("scope", .string(scope.rawValue)),
            ("created_at", .string(UTCTime.rfc3339(createdAt))), ("created_by", .string(createdBy)),
            ("expires_at", expiresAt.map { .string(UTCTime.rfc3339($0)) } ?? .null),
            ("is_expired", .bool(isExpired(at: now))),
            ("last_used_at", lastUsedAt.map { .string(UTCTime.rfc3339($0)) } ?? .null),
        ])
    }
}
