import ArgumentParser
import ConfigModel

/// Prints the JSON Schema of the file.
struct SchemaCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schema", abstract: "Print the JSON Schema of the file, for editors.")

    func run() throws { try Terminal.print(ConfigurationSchema.json()) }
}
