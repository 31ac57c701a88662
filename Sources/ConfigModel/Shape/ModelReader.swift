/// Reads typed values out of a document and keeps account of what is wrong with it.
struct ModelReader {
    /// A key and its value, with merged ones (`<<`) in their place.
    struct Entry {
        let key: NodeID
        let value: NodeID
    }

    let document: YAMLDocument
    var diagnostics = DiagnosticList()
    /// Values that have been complained about: rules that would build on them keep silent.
    private var faulty: Set<NodeID> = []
    /// Names of issuers and certificates that could not be read; references to them are not unknown.
    var faultyNames: Set<String> = []

    /// Whether a record of the state is read, where inline secrets are fingerprints.
    let readsRecords: Bool

    init(_ document: YAMLDocument, readsRecords: Bool = false) {
        self.document = document
        self.readsRecords = readsRecords
    }

    // MARK: Complaints

    mutating func fail(_ node: NodeID, _ message: String, hint: String? = nil, notes: [Diagnostic.Note] = []) {
        faulty.insert(node)
        diagnostics.append(
            Diagnostic(.error, at: document.position(of: node), message, hint: hint, notes: notes))
    }

    mutating func warn(_ node: NodeID, _ message: String, hint: String? = nil, hidesSource: Bool = false) {
        diagnostics.append(
            Diagnostic(.warning, at: document.position(of: node), message, hint: hint, hidesSource: hidesSource))
    }

    /// Marks a value whose parts have been complained about.
    mutating func markFaulty(_ node: NodeID) { faulty.insert(node) }

    func isFaulty(_ node: NodeID) -> Bool { faulty.contains(node) }

    mutating func failExpecting(_ expected: String, at node: NodeID, hint: String? = nil) {
        fail(node, "expected \(expected), found \(description(of: node))", hint: hint)
    }

    /// What a value is, in words; texts are quoted, so not for values that may be secrets.
    func description(of node: NodeID, quoting: Bool = true) -> String {
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

    /// The text of a scalar that is a string; nil for all else.
    func string(of node: NodeID) -> String? { type(of: node) == .text ? document.string(of: node) : nil }

    // MARK: Mappings

    /// The keys and values of a mapping. Complains about duplicate keys and keys that are not text.
    ///
    /// Values merged by `<<` come last, and only where the mapping has no such key itself.
    mutating func entries(of mapping: NodeID) -> [Entry] {
        var entries: [Entry] = []
        entries.reserveCapacity(document.count(of: mapping))
        var merged: [NodeID] = []
        var index = KeyIndex(document)
        for (key, value) in document.pairs(of: mapping) {
            guard document.kind(of: key).isScalar else {
                fail(key, "expected a key, found \(description(of: key))")
                continue
            }
            if document.kind(of: key) == .plain, document.scalar(key, equals: Self.mergeKey) {
                merged.append(value)
            } else if let first = index.insert(key) {
                let note = Diagnostic.Note(position: document.position(of: first), message: "first here")
                fail(key, "duplicate key \(document.string(of: key).quotedForMessage)", notes: [note])
            } else {
                entries.append(Entry(key: key, value: value))
            }
        }
        for value in merged { merge(value, into: &entries, &index) }
        return entries
    }

    private static let mergeKey = Array("<<".utf8)

    private mutating func merge(_ value: NodeID, into entries: inout [Entry], _ index: inout KeyIndex) {
        switch document.kind(of: value) {
        case .mapping:
            for entry in self.entries(of: value) where index.insert(entry.key) == nil { entries.append(entry) }
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
}

/// The keys of one mapping so far. Compares one by one while they are few, which is nearly always.
private struct KeyIndex {
    private static let fewKeys = 24
    private let document: YAMLDocument
    private var keys: [NodeID] = []
    private var byText: [String: NodeID] = [:]

    /// Whether a record of the state is read, where inline secrets are fingerprints.
    let readsRecords: Bool

    init(_ document: YAMLDocument, readsRecords: Bool = false) {
        self.document = document
        self.readsRecords = readsRecords
    }

    /// Takes a key in; returns the earlier key of the same text, if there is one.
    mutating func insert(_ key: NodeID) -> NodeID? {
        if keys.count < Self.fewKeys {
            let bytes = document.bytes(of: key)
            if let first = keys.first(where: { document.bytes(of: $0) == bytes }) { return first }
            keys.append(key)
            return nil
        }
        if byText.isEmpty {
            for known in keys { byText[document.string(of: known)] = known }
        }
        let text = document.string(of: key)
        if let first = byText[text] { return first }
        byText[text] = key
        return nil
    }
}

extension String {
    /// The text in quotes, cut when long, with invisible characters written out: fit for a one-line message.
    var quotedForMessage: String {
        var shown = "'"
        for scalar in unicodeScalars.prefix(60) {
            let isInvisible = [.control, .format].contains(scalar.properties.generalCategory)
            shown += isInvisible ? scalar.escaped(asASCII: true) : String(scalar)
        }
        return shown + (unicodeScalars.count > 60 ? "…'" : "'")
    }
}
