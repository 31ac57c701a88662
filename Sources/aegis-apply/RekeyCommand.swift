import ArgumentParser
import ConfigModel
import Issuers
import PKI
import ProgramArguments
import Reconciler
import SQLiteState
import State
import SystemPackage

/// `aegis-apply rekey`: seals all keys and texts of the state under another encryption key.
struct RekeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rekey", abstract: "Seal all keys in the state under another encryption key.",
        discussion: """
            This is one step: afterwards either the old key opens everything, or the new one does. The old key is the one that \
            an apply would use (encryption.key, AEGIS_SSL_KEY or the state's), or that of --old-key-env or --old-key-file.
            """)

    @Option(help: "The variable with the new key, 64 hex digits.")
    var newKeyEnv: String?

    @Option(help: "The file with the new key, 64 hex digits.", completion: .file())
    var newKeyFile: String?

    @Option(help: "The variable with the old key.")
    var oldKeyEnv: String?

    @Option(help: "The file with the old key.", completion: .file())
    var oldKeyFile: String?

    @OptionGroup var options: StateOptions

    func validate() throws {
        try ArgumentRules.check {
            if (newKeyEnv == nil) == (newKeyFile == nil) {
                throw ValidationError("Name the new key by --new-key-env or by --new-key-file.")
            }
            if oldKeyEnv != nil, oldKeyFile != nil { throw ValidationError("Name the old key once.") }
        }
    }

    func run() throws {
        try reporting {
            let known = try options.configuration()
            let path = options.path(known)
            guard try SQLiteStateStore(readingFrom: path) != nil else {
                throw CommandFailure(message: "there is no state '\(path)' yet")
            }
            let store = try SQLiteStateStore(path: path)
            defer { store.close() }
            let keeper = try LeaseKeeper.forApplying(store)
            defer { keeper.release() }
            let here = SecretReader(directory: ".")
            let newKey = try MasterKeySource.read(secret(newKeyEnv, newKeyFile), here)
            let oldKey = try oldKey(known, store, here, newKey)
            let count = try Rekey(store: store, holder: keeper.holder, oldKey: oldKey, newKey: newKey).run(
                now: currentTime())
            try Terminal.print("Sealed \(count) again under the key \(newKey.id). Use this key from now on.\n")
            let scrubbing = Result { try store.scrub() }
            let now = currentTime()
            for node in try store.nodes() where node.isAlive(at: now) {
                try Terminal.print(
                    "Restart the gateway on \(node.machine) (process \(node.process)) with this key: until then it"
                        + " serves the configuration in force, and accepts no change.\n")
            }
            // An error of `scrub` is thrown only after the output has named the new key. An operator who discarded the
            // new key because of an error would lose everything.
            if case .failure(let error) = scrubbing {
                throw CommandFailure(
                    message: "data sealed with the old key is still in the file's unused parts: \(error)",
                    hint: "run the same command again when nobody reads the state for long")
            }
        }
    }

    private func secret(_ variable: String?, _ file: String?) -> Secret {
        Secret(variable.map(Secret.Source.environment) ?? .file(file ?? ""))
    }

    private func oldKey(
        _ known: (file: ConfigurationFile, configuration: Configuration)?, _ store: SQLiteStateStore,
        _ here: SecretReader, _ newKey: MasterKey
    ) throws -> MasterKey {
        if oldKeyEnv != nil || oldKeyFile != nil {
            return try MasterKeySource.read(secret(oldKeyEnv, oldKeyFile), here)
        }
        if let key = try MasterKeySource.stored(in: store) { return key }
        let id = try store.setting(.sealingKeyID).map { String(decoding: $0, as: UTF8.self) }
        if id == newKey.id { return newKey }
        let reader = SecretReader(directory: known?.file.directory ?? ".")
        return try MasterKeySource.find(known?.configuration, reader, store).key
    }
}
