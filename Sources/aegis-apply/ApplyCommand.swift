import ArgumentParser
import Glibc
import ProgramArguments

/// Applies the file, or shows what an apply would do.
struct ApplyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply", abstract: "Apply the file, or with --dry-run show what that would do.")

    @OptionGroup var options: FileOptions

    @Flag(help: "Show what would happen and change nothing: no file is made, no network touched, no secret needed.")
    var dryRun = false

    @Flag(help: "With --dry-run: ask name servers, CAs and the names themselves whether certificates could be issued.")
    var preflight = false

    @Flag(
        help:
            "Then ask Cloudflare whether it still has the certificates that it issued; missing ones are issued again.")
    var refresh = false

    @Flag(help: "Allow deleting or disabling more than half of the enabled hosts' names, if there are ten or more.")
    var allowDeletions = false

    @Option(help: "How to print the plan: text or json.")
    var format = OutputFormat.text

    @Flag(help: "With --dry-run: exit with 2 when there are changes.")
    var detailedExitcode = false

    @Flag(help: "With --dry-run: warnings count as errors.")
    var strict = false

    func validate() throws {
        try ArgumentRules.check {
            if strict, !dryRun { throw ValidationError("--strict goes with --dry-run.") }
            if detailedExitcode, !dryRun { throw ValidationError("--detailed-exitcode goes with --dry-run.") }
            if preflight, !dryRun {
                throw ValidationError("--preflight goes with --dry-run: without it the CAs themselves are asked.")
            }
            if format == .json, !dryRun { throw ValidationError("--format json goes with --dry-run.") }
        }
    }

    func run() throws {
        // Signals are blocked before any thread starts, since threads inherit the mask.
        let signals = dryRun ? nil : StopSignals(lastWords: "nothing was changed")
        var early: EarlyState?
        let file = try ConfigurationFile.read(options.name) { early = EarlyState(path: $0) }
        let configuration = try file.validated(format)
        try reporting {
            guard let early else { preconditionFailure("a valid file tells where its state is") }
            if dryRun {
                try DryRun(
                    file: file, configuration: configuration, early: early, refreshes: refresh, preflight: preflight,
                    format: format, isStrict: strict, tellsChanges: detailedExitcode, allowsDeletions: allowDeletions
                ).run()
            } else {
                try ApplyRun(
                    file: file, configuration: configuration, early: early, signals: signals, refreshes: refresh,
                    allowsDeletions: allowDeletions
                ).run()
                ProgramEnd.atOnce(.success)
            }
        }
    }
}

enum ProgramEnd {
    /// Ends the program without freeing the model and the plan: with very many hosts that would take longer than
    /// reading them.
    static func atOnce(_ status: ExitCode) -> Never { Glibc.exit(status.rawValue) }
}
