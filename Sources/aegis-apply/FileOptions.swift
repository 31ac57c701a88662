import ArgumentParser
import ProgramArguments

/// The options by which a command finds the file: its name, or `--config` as in all commands.
struct FileOptions: ParsableArguments {
    @Argument(
        help: "The configuration, aegis.yaml when left out; '-' is the standard input.",
        completion: .file(extensions: ["yaml", "yml"]))
    var file: String?

    @Option(
        help: "The configuration, by the option that other commands use.",
        completion: .file(extensions: ["yaml", "yml"]))
    var config: String?

    var name: String { file ?? config ?? "aegis.yaml" }

    func validate() throws {
        try ArgumentRules.check {
            if file != nil, config != nil { throw ValidationError("Give the file once: FILE or --config FILE.") }
        }
    }
}
