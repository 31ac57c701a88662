/// Builds a document from parse events, within `YAMLLimits`.
struct YAMLBuilder {
    private struct OpenCollection {
        let node: Int
        let anchor: String?
        /// The number of values in the collection so far. An alias counts as many as the node it stands for.
        var expandedNodes = 1
    }

    private struct Anchor {
        let node: Int
        /// How many values an alias to this anchor stands for; nil while the anchored collection is still open.
        let expandedNodes: Int?
    }

    private var nodes: [YAMLNode] = []
    private var text: [UInt8] = []
    private var open: [OpenCollection] = []
    private var anchors: [String: Anchor] = [:]
    private var aliasedNodes = 0

    /// `textBytes` is the length of the text in bytes. The builder reserves memory for the nodes accordingly.
    init(textBytes: Int) {
        nodes.reserveCapacity(min(textBytes / 8, YAMLLimits.maxNodes))
        text.reserveCapacity(textBytes / 2)
    }

    consuming func finish() -> YAMLDocument { YAMLDocument(nodes: nodes, text: text) }

    mutating func scalar(_ bytes: Span<UInt8>, kind: YAMLNode.Kind, at place: SourcePosition, anchor: String?)
        throws(YAMLFault)
    {
        try add(kind, at: place, first: text.count, second: bytes.count)
        for index in bytes.indices { text.append(bytes[index]) }
        if let anchor { anchors[anchor] = Anchor(node: nodes.count - 1, expandedNodes: 1) }
    }

    mutating func begin(_ kind: YAMLNode.Kind, at place: SourcePosition, anchor: String?) throws(YAMLFault) {
        guard open.count < YAMLLimits.maxDepth else {
            throw YAMLFault(place, "values are nested more than \(YAMLLimits.maxDepth) levels deep")
        }
        try add(kind, at: place, first: 0, second: 0)
        open.append(OpenCollection(node: nodes.count - 1, anchor: anchor))
        if let anchor { anchors[anchor] = Anchor(node: nodes.count - 1, expandedNodes: nil) }
    }

    mutating func end() {
        guard let closed = open.popLast() else { return }
        nodes[closed.node].first = UInt32(nodes.count)
        if nodes[closed.node].kind == .mapping { nodes[closed.node].second /= 2 }
        if let anchor = closed.anchor {
            anchors[anchor] = Anchor(node: closed.node, expandedNodes: closed.expandedNodes)
        }
        if !open.isEmpty { open[open.count - 1].expandedNodes += closed.expandedNodes - 1 }
    }

    mutating func alias(_ name: String, at place: SourcePosition) throws(YAMLFault) {
        guard let anchor = anchors[name] else {
            throw YAMLFault(
                place, "unknown anchor", hint: Suggestion.hint(for: name, in: anchors.keys.sorted().prefix(100)))
        }
        guard let expanded = anchor.expandedNodes else {
            throw YAMLFault(place, "an alias is inside the value that it refers to")
        }
        aliasedNodes += expanded
        guard aliasedNodes <= YAMLLimits.maxAliasedNodes else {
            throw YAMLFault(
                place, "aliases stand for more than \(YAMLLimits.maxAliasedNodes) values",
                hint: "aliases of aliases multiply; write the values out or use fewer")
        }
        try add(.alias, at: place, first: anchor.node, second: 0)
        open[open.count - 1].expandedNodes += expanded - 1
    }

    private mutating func add(_ kind: YAMLNode.Kind, at place: SourcePosition, first: Int, second: Int)
        throws(YAMLFault)
    {
        guard nodes.count < YAMLLimits.maxNodes else {
            throw YAMLFault(place, "the file has more than \(YAMLLimits.maxNodes) values")
        }
        nodes.append(
            YAMLNode(
                kind: kind, line: UInt32(place.line), column: UInt32(place.column), first: UInt32(first),
                second: UInt32(second)))
        if !open.isEmpty {
            nodes[open[open.count - 1].node].second += 1
            open[open.count - 1].expandedNodes += 1
        }
    }
}

/// A fault that makes the rest of the file unreadable.
struct YAMLFault: Error {
    let diagnostic: Diagnostic

    init(_ position: SourcePosition, _ message: String, hint: String? = nil, notes: [Diagnostic.Note] = []) {
        diagnostic = Diagnostic(.error, at: position, message, hint: hint, notes: notes)
    }
}
