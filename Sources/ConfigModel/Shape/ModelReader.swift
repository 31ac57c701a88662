/// Reads typed values from a document and collects the faults found on the way.
struct ModelReader {
    /// A key of a mapping and its value, written in the mapping or merged into it by `<<`.
    struct Entry {
        let key: NodeID
        let value: NodeID
    }

    let document: YAMLDocument
    /// Whether the document is a record of the state, in which inline secrets are fingerprints.
    let readsRecords: Bool
    var diagnostics = DiagnosticList()
    /// Names of issuers, certificates, identities and Vaults that could not be read. A reference to such a name is not
    /// reported as unknown.
    var faultyNames: Set<String> = []
    /// Values that were reported, or that contain a reported value. Rules ignore them.
    private var faulty: Set<NodeID> = []
    /// Mappings with unknown keys. A key that seems to be missing from such a mapping may only be misspelt.
    private var withUnknownKeys: Set<NodeID> = []
    /// For each list with unreadable items, the items that could be read.
    private var keptItems: [NodeID: [NodeID]] = [:]
    /// For each node, whether diagnostics may show its text. True for known keys, and for values of fields that are not
    /// for secrets, unless a value looks like a secret (`mayHoldSecret`).
    private var shown: [Bool]

    init(_ document: YAMLDocument, readsRecords: Bool = false) {
        self.document = document
        self.readsRecords = readsRecords
        shown = Array(repeating: false, count: document.nodeCount)
    }

    var visibility: SourceVisibility { SourceVisibility(document, shown: shown) }

    mutating func show(_ node: NodeID) { shown[node.index] = true }

    // MARK: Reporting faults

    /// Reports an error and marks the value as faulty, so that rules ignore it.
    mutating func fail(_ node: NodeID, _ message: String, hint: String? = nil, notes: [Diagnostic.Note] = []) {
        faulty.insert(node)
        // `${` and `{{` show that the operator expects variables to be expanded. A hint about them is more useful than
        // the given hint.
        let text = scalarText(of: node)
        let hint =
            text.contains("${")
            ? YAMLSyntaxFault.variableHint
            : text.contains("{{") || isTemplate(node) ? YAMLSyntaxFault.templateHint : hint
        report(.error, at: node, message, hint: hint, notes: notes)
    }

    /// Whether a value is written as `{{ NAME }}` without quotes, which is a mapping whose key is a mapping.
    private func isTemplate(_ node: NodeID) -> Bool {
        document.kind(of: node) == .mapping
            && document.pairs(of: node).contains { document.kind(of: $0.key) == .mapping }
    }

    mutating func warn(_ node: NodeID, _ message: String, hint: String? = nil) {
        report(.warning, at: node, message, hint: hint)
    }

    mutating func report(
        _ severity: Diagnostic.Severity, at node: NodeID, _ message: String, hint: String? = nil,
        notes: [Diagnostic.Note] = []
    ) {
        diagnostics.append(
            Diagnostic(severity, at: document.position(of: node), message, hint: hint, notes: notes))
    }

    /// Marks a value as faulty because it contains a reported value.
    mutating func markFaulty(_ node: NodeID) { faulty.insert(node) }

    func isFaulty(_ node: NodeID) -> Bool { faulty.contains(node) }

    mutating func markUnknownKey(in mapping: NodeID) { withUnknownKeys.insert(mapping) }

    func hasUnknownKeys(_ mapping: NodeID) -> Bool { withUnknownKeys.contains(mapping) }

    mutating func failExpecting(_ expected: String, at node: NodeID, quoting: Bool = false, hint: String? = nil) {
        fail(node, "expected \(expected), found \(description(of: node, quoting: quoting))", hint: hint)
    }

    /// A description of a value for messages. A text is quoted only if `quoting`, since it may be a secret.
    func description(of node: NodeID, quoting: Bool) -> String {
        switch document.kind(of: node) {
        case .sequence: return "a list"
        case .mapping, .alias: return "a mapping"
        case .text: return quoting ? quoted(node) : "text"
        case .plain:
            switch YAMLScalarType(plain: document.bytes(of: node)) {
            case .null: return "nothing"
            case .bool(let flag): return flag ? "true" : "false"
            case .integer, .float: return quoting ? "the number \(document.string(of: node))" : "a number"
            case .text: return quoting ? quoted(node) : "text"
            }
        }
    }

    private func quoted(_ node: NodeID) -> String { document.string(of: node).quotedForMessage }

    // MARK: Values

    func type(of node: NodeID) -> YAMLScalarType? {
        switch document.kind(of: node) {
        case .plain: YAMLScalarType(plain: document.bytes(of: node))
        case .text: .text
        default: nil
        }
    }

    /// The text of a scalar that is a string; nil for any other node.
    func string(of node: NodeID) -> String? { type(of: node) == .text ? document.string(of: node) : nil }

    /// The text of any scalar; empty for any other node.
    func scalarText(of node: NodeID) -> String {
        document.kind(of: node).isScalar ? document.string(of: node) : ""
    }

    // MARK: Lists

    mutating func keep(_ items: [NodeID], of list: NodeID) { keptItems[list] = items }

    /// The items of a list that could be read, in the same order.
    func items(of list: NodeID) -> [NodeID] { keptItems[list] ?? document.items(of: list) }

    // MARK: Mappings

    private static let mergeKey = Array("<<".utf8)

    private func isMergeKey(_ key: NodeID) -> Bool {
        document.kind(of: key) == .plain && document.scalar(key, equals: Self.mergeKey)
    }

    /// The value of a key; nil when there is none. Reports nothing.
    func value(of key: String, in mapping: NodeID) -> NodeID? {
        guard document.kind(of: mapping) == .mapping else { return nil }
        let bytes = Array(key.utf8)
        var merged: [NodeID] = []
        for pair in document.pairs(of: mapping) where document.kind(of: pair.key).isScalar {
            if document.scalar(pair.key, equals: bytes) { return pair.value }
            if isMergeKey(pair.key) { merged.append(pair.value) }
        }
        for value in merged {
            let isList = document.kind(of: value) == .sequence
            for source in isList ? document.items(of: value) : [value] {
                if let found = self.value(of: key, in: source) { return found }
            }
        }
        return nil
    }

    /// The keys and values of a mapping. Reports duplicate keys and keys that are not text.
    ///
    /// Values merged by `<<` come last, and only for keys that the mapping itself does not have.
    mutating func entries(of mapping: NodeID) -> [Entry] {
        var entries: [Entry] = []
        entries.reserveCapacity(document.count(of: mapping))
        var merged: [NodeID] = []
        var index = KeyIndex()
        for (key, value) in document.pairs(of: mapping) {
            guard document.kind(of: key).isScalar else {
                let hint = document.kind(of: key) == .mapping ? YAMLSyntaxFault.templateHint : nil
                fail(key, "expected a key, found \(description(of: key, quoting: false))", hint: hint)
                continue
            }
            if isMergeKey(key) {
                show(key)
                merged.append(value)
            } else if let first = index.earlier(key, among: entries, document) {
                let note = Diagnostic.Note(position: document.position(of: first), message: "first here")
                fail(key, "duplicate key\(nameForMessage(ofKey: key))", notes: [note])
            } else {
                entries.append(Entry(key: key, value: value))
            }
        }
        for value in merged { merge(value, into: &entries, &index) }
        return entries
    }

    private mutating func merge(_ value: NodeID, into entries: inout [Entry], _ index: inout KeyIndex) {
        switch document.kind(of: value) {
        case .mapping:
            for entry in self.entries(of: value) where index.earlier(entry.key, among: entries, document) == nil {
                entries.append(entry)
            }
        case .sequence:
            for item in document.items(of: value) {
                guard document.kind(of: item) == .mapping else {
                    failExpecting("a mapping to merge", at: item)
                    continue
                }
                merge(item, into: &entries, &index)
            }
        default: failExpecting("a mapping to merge", at: value)
        }
    }

    /// The key for messages, in quotes and after a space. Empty when the key may be a value, even a secret, whose colon
    /// is missing.
    mutating func nameForMessage(ofKey key: NodeID) -> String {
        let name = document.string(of: key)
        guard name.looksLikeKey else { return "" }
        show(key)
        return " '\(name)'"
    }
}

/// Finds duplicate keys of a mapping. Most mappings have few keys, which are compared one by one; other mappings use a
/// dictionary.
private struct KeyIndex {
    private static let fewKeys = 24
    private var byText: [String: NodeID] = [:]

    /// The earlier key with the same text; nil when there is none. In that case the caller must add this key to
    /// `entries`.
    mutating func earlier(_ key: NodeID, among entries: [ModelReader.Entry], _ document: YAMLDocument) -> NodeID? {
        if entries.count < Self.fewKeys {
            for index in entries.indices where document.scalar(entries[index].key, equals: key) {
                return entries[index].key
            }
            return nil
        }
        if byText.isEmpty {
            for entry in entries { byText[document.string(of: entry.key)] = entry.key }
        }
        let text = document.string(of: key)
        if let first = byText[text] { return first }
        byText[text] = key
        return nil
    }
}

extension String {
    /// The text in quotes, shortened when long, with invisible characters escaped; not shown when it may contain a
    /// secret.
    var quotedForMessage: String {
        guard !mayHoldSecret else { return "(hidden)" }
        var shown = "'"
        for scalar in unicodeScalars.prefix(60) {
            let isInvisible = [.control, .format].contains(scalar.properties.generalCategory)
            shown += isInvisible ? scalar.escaped(asASCII: true) : String(scalar)
        }
        return shown + (unicodeScalars.count > 60 ? "…'" : "'")
    }
}
