/// One of several kinds of object, told apart by the value of a key.
struct UnionCase<Value: Sendable>: Sendable {
    /// The key's value; nil for the kind that has no such key.
    let tag: String?
    let schema: @Sendable () -> SchemaFragment
    let read: @Sendable (NodeID, inout ModelReader) -> Value?
    /// The fields of a value of this kind; nil when it is of another.
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
    /// A mapping that is one of the cases, by the value of `key`.
    static func union(
        _ noun: String, by key: String, hint: String? = nil, _ cases: [UnionCase<Value>]
    ) -> ValueShape {
        let keyBytes = Array(key.utf8)
        let tags = cases.compactMap(\.tag)
        return ValueShape(
            schema: .oneOf(cases.map { $0.schema() }),
            read: { node, reader in
                guard reader.document.kind(of: node) == .mapping else {
                    reader.failExpecting(noun, at: node, hint: "write its fields as 'key: value'")
                    return nil
                }
                guard let tag = tagNode(in: node, keyBytes, reader) else {
                    if let untagged = cases.first(where: { $0.tag == nil }) { return untagged.read(node, &reader) }
                    reader.fail(node, "\(noun) needs '\(key)'", hint: "one of \(tags.joined(separator: ", "))")
                    return nil
                }
                guard let name = reader.string(of: tag), let match = cases.first(where: { $0.tag == name }) else {
                    let name = reader.string(of: tag) ?? ""
                    reader.failExpecting(
                        tags.joined(separator: " or "), at: tag, hint: Suggestion.hint(for: name, in: tags) ?? hint)
                    return nil
                }
                return match.read(node, &reader)
            },
            write: { value, style in cases.lazy.compactMap { $0.write(value, style) }.first ?? .null }
        )
    }

    /// The value of the key that tells the cases apart. Quiet: the case's own reading complains about the keys.
    private static func tagNode(in mapping: NodeID, _ key: [UInt8], _ reader: ModelReader) -> NodeID? {
        var silent = reader
        return silent.entries(of: mapping).first { reader.document.scalar($0.key, equals: key) }?.value
    }
}
