import ArgumentParser
import ConfigModel
import ProgramArguments
import SystemPackage

/// `aegis-apply rollback`: applies the text of an earlier generation again.
struct RollbackCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollback", abstract: "Apply the text of an earlier generation again, as a new one.",
        discussion:
            "The file itself does not change. Edit it to match what is now in force, or the next apply undoes the rollback."
    )

    @Argument(help: "The generation's number; 'aegis-apply history' lists them.")
    var generation: Int

    @Flag(help: "Show what would happen and change nothing.")
    var dryRun = false

    @Flag(help: "Allow deleting or disabling more than half of the enabled hosts' names, if there are ten or more.")
    var allowDeletions = false

    @Option(help: "With --dry-run: how to print the plan: text or json.")
    var format = OutputFormat.text

    @Flag(help: "With --dry-run: exit with 2 when there are changes.")
    var detailedExitcode = false

    @Flag(help: "With --dry-run: warnings count as errors.")
    var strict = false

    @OptionGroup var options: StateOptions

    func validate() throws {
        try ArgumentRules.check {
            if strict, !dryRun { throw ValidationError("--strict goes with --dry-run.") }
            if detailedExitcode, !dryRun { throw ValidationError("--detailed-exitcode goes with --dry-run.") }
            if format == .json, !dryRun { throw ValidationError("--format json goes with --dry-run.") }
        }
    }

    func run() throws {
        let signals = dryRun ? nil : StopSignals(lastWords: "nothing was changed")
        try reporting {
            let known = try options.configuration()
            let path = options.path(known)
            let file = try EarlierFile.read(generation, path, known)
            var configuration = try file.validated(.text)
            // The rollback uses the state that the operator named, whatever path the old text has.
            configuration.statePath =
                try FilePath(path).isAbsolute ? path : ConfigurationFile.workingDirectory() + "/" + path
            configuration.encryptionKey = known?.configuration.encryptionKey ?? configuration.encryptionKey
            let early = EarlyState(path: configuration.statePath)
            if dryRun {
                try DryRun(
                    file: file, configuration: configuration, early: early, format: format, isStrict: strict,
                    tellsChanges: detailedExitcode, allowsDeletions: allowDeletions
                ).run()
            } else {
                try ApplyRun(
                    file: file, configuration: configuration, early: early, signals: signals,
                    allowsDeletions: allowDeletions
                ).run()
            }
        }
    }
}
