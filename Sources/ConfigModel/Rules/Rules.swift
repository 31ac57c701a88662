/// Checks conditions between the values of a file. The shapes have already checked each value alone.
///
/// A rule examines typed values, and looks up a place in the file only to report something, so a valid file of 100,000
/// hosts costs no look-ups. A rule reports nothing about a value that has already been reported.
struct Rules {
    let configuration: Configuration
    let root: NodeID
    var reader: ModelReader
    let issuers: [String: Issuer]
    let certificates: [String: NamedCertificate]
    let identities: [String: NamedIdentity]
    let vaults: [String: VaultServer]
    /// The names of each certificate by the certificate's name, collected when the first host refers to it.
    var coveredNames: [String: Set<String>] = [:]
    private var comparisonsLeft = 20_000

    static func check(_ configuration: Configuration, _ root: NodeID, _ reader: inout ModelReader) {
        var rules = Rules(configuration, root, reader)
        rules.checkGateway()
        rules.checkNode()
        rules.checkIdentities()
        rules.checkVaults()
        rules.checkAlerts()
        rules.checkIssuers()
        rules.checkCertificates()
        rules.checkEdgeCertificates()
        rules.checkHosts()
        rules.checkNames()
        reader = rules.reader
    }

    private init(_ configuration: Configuration, _ root: NodeID, _ reader: ModelReader) {
        self.configuration = configuration
        self.root = root
        self.reader = reader
        issuers = Self.byName(configuration.issuers)
        certificates = Self.byName(configuration.certificates)
        identities = Self.byName(configuration.identities)
        vaults = Self.byName(configuration.vaults)
    }

    private static func byName<Value: NamedValue>(_ values: [Value]) -> [String: Value] {
        Dictionary(values.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    // MARK: Reporting faults

    /// Reports a fault at the value that a path of keys leads to, or at the nearest mapping above it.
    ///
    /// Reports nothing when that value is already known to be faulty, or when a key in `others`, which the rule depends
    /// on, is faulty or may be misspelt.
    mutating func report(
        _ severity: Diagnostic.Severity, _ path: String..., in owner: NodeID?, unlessFaulty others: [String] = [],
        _ message: String, hint: String? = nil, notes: [Diagnostic.Note] = []
    ) {
        guard let owner, !others.contains(where: { isDoubtful($0, in: owner) }) else { return }
        var node = owner
        for key in path {
            guard let value = reader.value(of: key, in: node) else { break }
            if reader.isFaulty(value), reader.document.kind(of: value).isScalar { return }
            node = value
        }
        reader.report(severity, at: node, message, hint: hint, notes: notes)
    }

    /// Reports that `key` is missing from `owner`. The report points at the value of the key `place`, such as the mode
    /// that requires `key`, or else at `owner`.
    mutating func reportMissing(
        _ key: String, at place: String? = nil, in owner: NodeID?, unlessFaulty others: [String], _ message: String,
        hint: String
    ) {
        guard let owner, !(others + [key]).contains(where: { isDoubtful($0, in: owner) }) else { return }
        let node = place.flatMap { reader.value(of: $0, in: owner) } ?? owner
        if node != owner, reader.isFaulty(node) { return }
        reader.report(.error, at: node, message, hint: hint)
    }

    /// Whether rules can't rely on a key: its value was reported as faulty, or the key is absent while the mapping has
    /// an unknown key, which may be a misspelling of it.
    private func isDoubtful(_ key: String, in mapping: NodeID) -> Bool {
        if let value = reader.value(of: key, in: mapping) { return reader.isFaulty(value) }
        return reader.hasUnknownKeys(mapping)
    }

    func note(_ message: String, at origin: SourceOrigin) -> Diagnostic.Note {
        Diagnostic.Note(position: origin.position, message: message)
    }

    /// The node of an item in a key's list; nil when there is none.
    func item(_ index: Int, of key: String, in mapping: NodeID) -> NodeID? {
        guard let list = reader.value(of: key, in: mapping), reader.document.kind(of: list) == .sequence else {
            return nil
        }
        let items = reader.items(of: list)
        return index < items.count ? items[index] : nil
    }

    // MARK: Names

    /// Reports a reference to a name that a section of the file does not define. Reports nothing if the name may be
    /// defined in a part that could not be read.
    mutating func reportUnknown<Value: NamedValue>(
        _ noun: String, _ name: String, among known: [Value], in section: String, at node: NodeID?
    ) {
        guard !name.isEmpty, !reader.faultyNames.contains(name), !isFaultySection(section) else { return }
        let hint = suggestion(for: name, among: known.map(\.name), in: section)
        report(.error, in: node, "unknown \(noun) '\(name)'", hint: hint)
    }

    /// Whether a section could not be read at all, so that its contents are unknown.
    func isFaultySection(_ key: String) -> Bool {
        guard let section = reader.value(of: key, in: root) else { return reader.hasUnknownKeys(root) }
        return reader.document.kind(of: section) != .mapping
    }

    /// The hint for an unknown name: a similar known name, else a list of known names. `comparisonsLeft` limits the
    /// search for all names of a file together, since comparing thousands of unknown names with thousands of known
    /// names would take too long.
    mutating func suggestion(for name: String, among known: [String], in section: String) -> String {
        if comparisonsLeft >= known.count {
            comparisonsLeft -= known.count
            if let hint = Suggestion.hint(for: name, in: known) { return hint }
        }
        guard !known.isEmpty else { return "define it under '\(section)'" }
        let shown = known.prefix(5).joined(separator: ", ")
        return "defined under '\(section)': \(shown)\(known.count > 5 ? ", …" : "")"
    }
}
