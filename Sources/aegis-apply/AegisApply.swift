import ArgumentParser
import ConfigModel
import Glibc
import PKI
import ProgramArguments
import SystemPackage

// aegis-apply: brings the state in line with the file, and shows beforehand what that would change.
//
// Commands read the file, call ConfigModel and Reconciler, and print. They decide nothing themselves.

@main
struct AegisApply: ParsableCommand {
    static func main() {
        // No other user may read the files that this process creates, even if a library asks for wider permissions.
        umask(0o077)
        OpenSSLMemory.wipeWhenFreed()
        OpenSSLMemory.keepWhenProgramEnds()
        let words = commandFirst(ProgramArguments.words)
        refuseMisspeltCommand(words)
        do {
            var command = try ArgumentRules.unknownFirst { try parseAsRoot(words) }
            try command.run()
        } catch {
            exit(withError: error)
        }
    }

    /// Puts the word `help` first, and the command before `--config` and `--state`. Otherwise ArgumentParser would take
    /// the word `status` in `--config FILE status` for a file's name.
    private static func commandFirst(_ words: [String]) -> [String] {
        var commands = configuration.subcommands
        var (path, options): ([String], [String]) = ([], [])
        var rest = words[...]
        while let word = rest.first {
            if ["--config", "--state"].contains(word), rest.count > 1 {
                options += rest.prefix(2)
                rest = rest.dropFirst(2)
            } else if word.hasPrefix("--config=") || word.hasPrefix("--state=") {
                options.append(word)
                rest = rest.dropFirst()
            } else if let command = commands.first(where: { $0.configuration.commandName == word }) {
                path.append(word)
                commands = command.configuration.subcommands
                rest = rest.dropFirst()
            } else if word == "help", !path.isEmpty, !commands.isEmpty {
                // ArgumentParser knows `help COMMAND WORD`, and not `COMMAND help WORD`.
                return [word] + path + rest.dropFirst()
            } else {
                break
            }
        }
        return path + options + rest
    }

    /// Ends the program if a word is not a file but resembles a command. Otherwise ArgumentParser would take the word
    /// for the file's name.
    private static func refuseMisspeltCommand(_ words: [String]) {
        var commands = configuration.subcommands
        var path = "aegis-apply"
        for word in words where !word.hasPrefix("-") {
            if let command = commands.first(where: { $0.configuration.commandName == word }) {
                commands = command.configuration.subcommands
                path += " \(word)"
                continue
            }
            let names = commands.compactMap { $0.configuration.commandName }
            // Other programs use these words for a dry run.
            let isPlan = path == "aegis-apply" && ["plan", "diff", "check", "preview"].contains(word)
            guard !FilePath(word).exists, let meant = isPlan ? "--dry-run" : Suggestion.nearest(to: word, in: names)
            else { return }
            let failure = CommandFailure(
                message: "there is no command '\(word.printable)'", hint: "did you mean '\(path) \(meant)'?",
                status: .validationFailure)
            Glibc.exit(failure.report().rawValue)
        }
    }

    static let configuration = CommandConfiguration(
        commandName: "aegis-apply",
        abstract: "Bring certificates and hosts in line with aegis.yaml.",
        usage: """
            aegis-apply [FILE] [--refresh] [--allow-deletions] [--dry-run [--preflight] [--strict] [--format text|json] [--detailed-exitcode]]
            aegis-apply <subcommand>
            """,
        discussion: """
            Without a subcommand the file is applied (FILE is aegis.yaml when left out, '-' the standard input).
              --dry-run             show what would happen and change nothing
              --preflight           with --dry-run: ask DNS and CAs whether they would issue
              --refresh             then ask Cloudflare whether it still has its certificates
              --allow-deletions     allow deleting or disabling most of ten or more names
              --strict              with --dry-run: warnings count as errors
              --format text|json    how to print it
              --detailed-exitcode   with --dry-run: exit with 2 when there are changes

            Examples:
              aegis-apply init                   write a first aegis.yaml
              aegis-apply --dry-run              what would happen? (changes nothing)
              aegis-apply --dry-run --preflight  could the certificates be issued?
              aegis-apply                        make it so
              aegis-apply --dry-run --format json | jq .summary
              aegis-apply validate site.yaml     is the file right?

            \(ExitStatus.help)
            """,
        version: "aegis-apply \(ProgramVersion.number)",
        subcommands: [
            ApplyCommand.self, ValidateCommand.self, SchemaCommand.self, StatusCommand.self, HistoryCommand.self,
            RollbackCommand.self, RenewCommand.self, RekeyCommand.self, CertificatesCommand.self,
            AccountsCommand.self, AdminCommand.self, ExportCommand.self, IdentitiesCommand.self, InitCommand.self,
        ],
        defaultSubcommand: ApplyCommand.self
    )
}

/// How a command prints its result.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case text
    case json
}
