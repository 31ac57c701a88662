import ArgumentParser
import ConfigModel
import Issuers
import PKI
import Reconciler
import SQLiteState
import State
import SystemPackage

/// Applies the text of an earlier generation again.
struct RollbackCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollback", abstract: "Apply the text of an earlier generation again, as a new one.",
        discussion:
            "The file itself is left as it is: bring it back to what is in force, or the next apply undoes this.")

    @Argument(help: "The generation's number; 'aegis-apply history' lists them.")
    var generation: Int

    @OptionGroup var options: StateOptions

    func run() throws {
        try reporting {
            let known = try options.configuration()
            let path = options.state ?? known.map { $0.file.resolve($0.configuration.statePath).string } ?? ""
            let (earlier, text) = try read(path, known)
            // What was a rollback itself is told by the file that it all began with.
            let fileName = earlier.fileName.replacing(/^(generation [0-9]+ of )+/, with: "")
            let name = "generation \(generation) of \(fileName)"
            let source = SourceText(name: name, bytes: text)
            let file = ConfigurationFile(
                source: source, parsed: Configuration.parse(source), directory: FilePath(earlier.directory))
            var configuration = try file.validated(.text)
            // The state that the operator named, wherever the old text had it.
            configuration.statePath =
                try FilePath(path).isAbsolute ? path : ConfigurationFile.workingDirectory() + "/" + path
            configuration.encryptionKey = known?.configuration.encryptionKey ?? configuration.encryptionKey
            let early = EarlyState(path: configuration.statePath)
            try ApplyRun(file: file, configuration: configuration, early: early).run()
        }
    }

    private func read(_ path: String, _ known: (file: ConfigurationFile, configuration: Configuration)?) throws
        -> (Generation, [UInt8])
    {
        guard let store = try SQLiteStateStore(readingFrom: path) else {
            throw CommandFailure(message: "there is no state '\(path)' yet")
        }
        guard let earlier = try store.generations().first(where: { $0.number == generation }) else {
            throw CommandFailure(message: "there is no generation \(generation)", hint: "see 'aegis-apply history'")
        }
        guard let sealedText = try store.sealedText(ofGeneration: generation) else {
            throw CommandFailure(
                message: "the text of generation \(generation) is no longer kept",
                hint: "the last \(Retention().generationTexts) generations can be applied again")
        }
        let reader = SecretReader(directory: known?.file.directory ?? ".")
        let source = try MasterKeySource.find(known?.configuration, reader, store)
        do {
            let text = try Sealer(key: source.key).open(
                sealedText, purpose: SealPurpose.generation, row: "\(generation)")
            return (earlier, text.plainCopy())
        } catch {
            throw CommandFailure(message: "the text of generation \(generation): \(error)")
        }
    }
}
