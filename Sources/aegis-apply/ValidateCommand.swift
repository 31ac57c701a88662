import ArgumentParser

/// Tells what is wrong with the file.
struct ValidateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "validate", abstract: "Check the file and tell everything that is wrong with it.")

    @Argument(help: "The configuration; '-' is the standard input.", completion: .file(extensions: ["yaml", "yml"]))
    var file = "aegis.yaml"

    @Option(help: "How to print what is found: text or json.")
    var format = OutputFormat.text

    func run() throws {
        let file = try ConfigurationFile.read(file)
        _ = try file.validated(format)
        try file.report(format)
        if format == .text { try Terminal.print("\(file.source.name) is valid\n") }
    }
}
