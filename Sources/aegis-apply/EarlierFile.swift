import ConfigModel
import Issuers
import PKI
import Reconciler
import SQLiteState
import State
import SystemPackage

/// The text of the file that an earlier generation applied.
enum EarlierFile {
    /// Opens and parses the text of a generation in the state at `path`.
    static func read(
        _ generation: Int, _ path: String, _ known: (file: ConfigurationFile, configuration: Configuration)?
    ) throws -> ConfigurationFile {
        guard let store = try SQLiteStateStore(readingFrom: path) else {
            throw CommandFailure(message: "there is no state '\(path)' yet")
        }
        guard let earlier = try store.generations().first(where: { $0.number == generation }) else {
            throw CommandFailure(message: "there is no generation \(generation)", hint: "see 'aegis-apply history'")
        }
        guard let sealedText = try store.sealedText(ofGeneration: generation) else {
            throw CommandFailure(
                message: "the text of generation \(generation) is no longer kept",
                hint: "the last \(Retention.keptGenerationTexts) generations can be applied again")
        }
        let reader = SecretReader(directory: known?.file.directory ?? ".")
        let source = try MasterKeySource.find(known?.configuration, reader, store)
        do {
            let text = try Sealer(key: source.key).open(
                sealedText, purpose: SealPurpose.generation, row: "\(generation)")
            // The text of a repeated rollback is named after the original file, not after the earlier rollback.
            let fileName = earlier.fileName.replacing(/^(generation [0-9]+ of )+/, with: "")
            let source = SourceText(name: "generation \(generation) of \(fileName)", bytes: text.plainCopy())
            return ConfigurationFile(
                source: source, parsed: Configuration.parse(source), directory: FilePath(earlier.directory))
        } catch {
            throw CommandFailure(message: "the text of generation \(generation): \(error)")
        }
    }
}
