// ConfigModel: turns the text of aegis.yaml into checked values with their places, or into diagnostics.
//
// The module is pure: it reads nothing but the given text. A shape describes each key. The reader, the records, the
// plan's fields and the JSON Schema follow from the shapes. A rule describes a condition between values.

/// The whole of `aegis.yaml`, checked.
package struct Configuration: Sendable, Equatable {
    /// The path of the SQLite database that contains the state. A relative path is relative to the configuration file.
    package var statePath = "./.aegis/state.db"
    /// How long certificates are kept after the file no longer names them, in case the file names them again.
    package var retention = Duration.seconds(30 * 86_400)
    /// The source of the key that seals private keys; nil: `AEGIS_SSL_KEY`, or a key made on the first run.
    package var encryptionKey: Secret?
    package var gateway = GatewaySettings()
    /// The settings of this gateway's node listener and node ID; nil if the file has none.
    package var node: NodeSettings?
    /// The certificates with which the gateway identifies itself to peers, in the order of the file.
    package var identities: [NamedIdentity] = []
    /// The Vaults that identities and certificates come from, in the order of the file.
    package var vaults: [VaultServer] = []
    /// When and to whom expiring certificates are reported; nil if the file does not say.
    package var alerts: AlertSettings?
    /// The certificate issuers, in the order of the file.
    package var issuers: [Issuer] = []
    /// Certificates that hosts refer to by name, in the order of the file.
    package var certificates: [NamedCertificate] = []
    /// Certificates ordered at Cloudflare and served by its edge, in the order of the file.
    package var edgeCertificates: [EdgeCertificate] = []
    /// The sites that the gateway serves, in the order of the file.
    package var hosts: [Host] = []

    /// A configuration without hosts, with the gateway's defaults.
    package init() {}
}

package struct ParsedConfiguration: Sendable {
    /// The configuration; nil when there is an error among the diagnostics.
    package let configuration: Configuration?
    /// All diagnostics, in the order of the file's lines.
    package let diagnostics: [Diagnostic]
    /// The parts of the file's lines that may be shown with the diagnostics.
    package let visibility: SourceVisibility

    fileprivate init(failing diagnostic: Diagnostic) {
        configuration = nil
        diagnostics = [diagnostic]
        visibility = .words
    }

    fileprivate init(_ configuration: Configuration?, _ reader: ModelReader) {
        self.configuration = reader.diagnostics.hasErrors ? nil : configuration
        diagnostics = reader.diagnostics.sorted()
        visibility = reader.visibility
    }
}

extension Configuration {
    /// Reads and checks a file's text. Pure: it reads nothing but the text, and every fault becomes a diagnostic.
    ///
    /// `atState` is called once with `statePath` before the rest is checked, so that the caller can begin to read the
    /// state. It is not called when the text is not valid YAML.
    package static func parse(_ source: SourceText, atState: (String) -> Void = { _ in }) -> ParsedConfiguration {
        if let fault = YAMLTextCheck.fault(in: source) {
            return ParsedConfiguration(failing: fault)
        }
        do throws(YAMLFault) {
            let document = try YAMLParser.parse(source)
            if let root = document.root { atState(shape.value(of: stateKey, in: root, document).statePath) }
            return read(document)
        } catch {
            return ParsedConfiguration(failing: error.diagnostic)
        }
    }

    private static func read(_ document: YAMLDocument) -> ParsedConfiguration {
        guard let root = document.root else {
            return ParsedConfiguration(
                failing: Diagnostic(.error, at: .start, "the file is empty", hint: "begin it with 'version: 1'"))
        }
        var reader = ModelReader(document)
        let configuration = shape.read(root, &reader)
        if let configuration { Rules.check(configuration, root, &reader) }
        return ParsedConfiguration(configuration, reader)
    }

    /// The diagnostics of a document. With `readsRecords`, its items are records of the state, which have fingerprints
    /// in place of secrets.
    static func check(_ document: YAMLDocument, readsRecords: Bool) -> [Diagnostic] {
        guard let root = document.root else { return [] }
        var reader = ModelReader(document, readsRecords: readsRecords)
        if let configuration = shape.read(root, &reader) { Rules.check(configuration, root, &reader) }
        return reader.diagnostics.sorted()
    }

    private static let stateKey = "state"

    /// The version of the file's language that this program reads.
    static let version = 1

    static let shape = ObjectShape<Configuration>(
        "the configuration", "The configuration of an Aegis TLS gateway", initial: Configuration(),
        fields: [
            .version("version", version),
            .nested(
                stateKey, "Where the state is kept",
                ObjectShape(
                    "state", "Where the state is kept", initial: Configuration(),
                    fields: [
                        .defaulted(
                            "path", \.statePath, .path,
                            "The SQLite database with certificates and sealed keys; relative to this file"),
                        .defaulted(
                            "retention", \.retention, .duration(in: .zero ... .seconds(3650 * 86_400)),
                            "How long to keep certificates of hosts that the file no longer names, to use them again; 0: not at all"
                        ),
                    ])),
            .nested(
                "encryption", "How private keys are sealed in the state",
                ObjectShape(
                    "encryption", "How private keys are sealed in the state", initial: Configuration(),
                    fields: [
                        .optional(
                            "key", \.encryptionKey, .masterKey,
                            "64 hex digits. Left out: AEGIS_SSL_KEY if set, else a key that the first run makes and keeps in the state"
                        )
                    ])),
            .defaulted("gateway", \.gateway, GatewaySettings.shape.shape, "How the gateway listens, limits and logs"),
            .optional("node", \.node, NodeSettings.shape.shape, "This gateway among others"),
            .defaulted(
                "identities", \.identities, .named(NamedIdentity.shape, "identities"),
                "Identities for mutual TLS by name: a certificate, its key and CAs"),
            .defaulted(
                "vaults", \.vaults, .named(VaultServer.shape.shape, "vaults"),
                "Servers of HashiCorp Vault or OpenBao, by name"),
            .optional(
                "alerts", \.alerts, AlertSettings.shape.shape, "When and where to alert that certificates expire"),
            .defaulted(
                "issuers", \.issuers, .named(Issuer.shape, "issuers"), "The CAs that issue certificates, by name"),
            .defaulted(
                "certificates", \.certificates, .named(NamedCertificate.shape, "certificates"),
                "Certificates that hosts refer to by name"),
            .defaulted(
                "edge_certificates", \.edgeCertificates, .list(of: EdgeCertificate.shape.shape, "edge certificates"),
                "Certificates ordered at Cloudflare and served by its edge"),
            .defaulted("hosts", \.hosts, .list(of: Host.shape.shape, "hosts"), "The hosts to serve"),
        ])
}

extension Field {
    /// The field for the version of the file's language: a required key with one allowed number.
    fileprivate static func version(_ key: String, _ number: Int) -> Field {
        .check(
            key,
            SchemaFragment([
                ("const", .int(number)), ("description", .string("The version of this file's language")),
            ]),
            hintWhenMissing: "begin the file with 'version: \(number)'",
            read: { node, reader in
                reader.show(node)
                if reader.type(of: node) == .integer, Int(reader.document.string(of: node)) == number { return true }
                reader.failExpecting("\(number), the only version there is", at: node, quoting: true)
                return false
            }, written: .int(number))
    }
}
