import ArgumentParser
import ConfigModel

/// `aegis-apply schema`: prints the JSON Schema of the file.
struct SchemaCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schema", abstract: "Print the JSON Schema of the file, for editors.")

    @Option(help: "Accepted as by other commands, but not read: all files have the same schema.", completion: .file())
    var config: String?

    func run() throws { try Terminal.print(ConfigurationSchema.json()) }
}
