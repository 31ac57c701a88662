import ArgumentParser
import ConfigModel
import Issuers
import Operations
import PKI
import PrivateFiles
import SQLiteState
import State
import SystemPackage

/// `aegis-apply export`: prints the items that the admin API owns as YAML for the file.
struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Print what the admin API owns as YAML, to be put into the file.",
        discussion: """
            When the file then declares these hosts and certificates, the plan says 'adopt': the apply changes only their owner.
            """)

    @Option(help: "Write chains and keys into this folder, for you alone; else only their names are printed.")
    var withKeys: String?

    @OptionGroup var options: StateOptions

    func run() throws {
        try reporting {
            let known = try options.configuration()
            let store = try options.openForReading(known)
            let export = try OwnedItems(store, now: currentTime()).export(filesIn: withKeys)
            if let withKeys { try write(export.certificates, to: FilePath(withKeys), store, known) }
            guard export.sections != .object([]) else {
                return Terminal.complain("The admin API owns nothing.\n")
            }
            try Terminal.print(export.sections.yaml())
            if withKeys == nil, !export.certificates.isEmpty {
                Terminal.complain("hint: --with-keys DIR writes the files of the certificates\n")
            }
        }
    }

    private func write(
        _ certificates: [StoredCertificate], to folder: FilePath, _ store: SQLiteStateStore,
        _ known: (file: ConfigurationFile, configuration: Configuration)?
    ) throws {
        let reader = SecretReader(directory: known?.file.directory ?? ".")
        let sealer = Sealer(key: try MasterKeySource.find(known?.configuration, reader, store).key)
        do {
            try PrivateDirectory.make(folder)
        } catch {
            throw CommandFailure(message: "cannot make the folder '\(folder)': \(error)")
        }
        for certificate in certificates {
            let files = OwnedItems.Export.files(of: certificate.name)
            for name in [files.chain, files.key] where folder.appending(name).exists {
                throw CommandFailure(message: "'\(folder.appending(name))' exists", hint: "name an empty folder")
            }
            do {
                let key = try PrivateKey(der: certificate.openKey(sealer)).pem()
                try PrivateFile.write(key, to: folder.appending(files.key))
                try PrivateFile.write(SecretBytes(certificate.chain), to: folder.appending(files.chain))
            } catch {
                throw CommandFailure(message: "certificate '\(certificate.name)' can't be exported: \(error)")
            }
        }
    }
}
