/// One of several kinds of object, distinguished by the value of a key.
struct UnionCase<Value: Sendable>: Sendable {
    /// The value of the key; nil for the kind that does not have the key.
    let tag: String?
    let schema: @Sendable () -> SchemaFragment
    let read: @Sendable (NodeID, inout ModelReader) -> Value?
    /// The fields of a value of this kind; nil for a value of another kind.
    let write: @Sendable (Value, RecordStyle) -> PlainValue?

    init<Payload>(
        _ tag: String?, _ object: ObjectShape<Payload>, wrap: @escaping @Sendable (Payload) -> Value,
        unwrap: @escaping @Sendable (Value) -> Payload?
    ) {
        self.tag = tag
        schema = { object.schema }
        read = { object.read($0, &$1).map(wrap) }
        write = { value, style in unwrap(value).map { .object(object.entries(of: $0, style)) } }
    }
}

extension ValueShape {
    /// A mapping of one of several kinds; the value of `key` says which kind.
    static func union(
        _ noun: String, by key: String, hint: String? = nil, _ cases: [UnionCase<Value>]
    ) -> ValueShape {
        let tags = cases.compactMap(\.tag)
        return ValueShape(
            schema: .oneOf(cases.map { $0.schema() }),
            read: { node, reader in
                guard reader.document.kind(of: node) == .mapping else {
                    reader.failExpecting(noun, at: node, hint: "write its fields as 'key: value', or remove the key")
                    return nil
                }
                guard let tag = reader.value(of: key, in: node) else {
                    if let untagged = cases.first(where: { $0.tag == nil }) { return untagged.read(node, &reader) }
                    let hint = misspelling(of: key, in: node, reader) ?? "one of \(tags.joined(separator: ", "))"
                    reader.fail(node, "\(noun) needs '\(key)'", hint: hint)
                    return nil
                }
                reader.show(tag)
                guard let name = reader.string(of: tag), let match = cases.first(where: { $0.tag == name }) else {
                    let name = reader.string(of: tag) ?? ""
                    reader.failExpecting(
                        tags.joined(separator: " or "), at: tag, quoting: true,
                        hint: Suggestion.hint(for: name, in: tags) ?? hint)
                    return nil
                }
                return match.read(node, &reader)
            },
            write: { value, style in cases.lazy.compactMap { $0.write(value, style) }.first ?? .null }
        )
    }

    private static func misspelling(of key: String, in mapping: NodeID, _ reader: ModelReader) -> String? {
        let written = reader.document.pairs(of: mapping).map { reader.scalarText(of: $0.key) }
        return written.first { Suggestion.nearest(to: $0, in: [key]) != nil && $0.looksLikeKey }
            .map { "did you mean '\(key)' where '\($0)' stands?" }
    }
}
