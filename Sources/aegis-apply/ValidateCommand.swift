import ArgumentParser

/// `aegis-apply validate`: checks the file and prints its diagnostics.
struct ValidateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "validate", abstract: "Check the file and report all its faults.")

    @OptionGroup var options: FileOptions

    @Option(help: "How to print what is found: text or json.")
    var format = OutputFormat.text

    @Flag(help: "Warnings count as errors.")
    var strict = false

    func run() throws {
        let file = try ConfigurationFile.read(options.name)
        _ = try file.validated(format)
        try file.report(format)
        if strict, !file.parsed.diagnostics.isEmpty { throw ExitStatus.invalidFile }
        if format == .text { try Terminal.print("\(file.source.name) is valid\n") }
    }
}
