/// One key of a mapping in the file: how it is read, written back, and described to editors.
struct Field<Root: Sendable>: Sendable {
    let key: String
    let isRequired: Bool
    var hintWhenMissing: String?
    /// Makes the schema that editors show for the key. The argument is an object with the defaults.
    let schema: @Sendable (Root) -> SchemaFragment
    /// Reads the key's value into the object. Reports a fault and returns false when the value is faulty.
    let read: @Sendable (NodeID, inout Root, inout ModelReader) -> Bool
    /// The value to write; nil to leave the key out. The second argument is an object with the defaults.
    let write: @Sendable (Root, Root, RecordStyle) -> PlainValue?
    /// The bytes of the property within the object in memory. A record leaves the key out when these bytes equal those
    /// of the default. Nil when only `write` can decide whether to leave the key out.
    let bytes: Range<Int>?

    private init(
        _ key: String, isRequired: Bool = false, hintWhenMissing: String? = nil, bytes: Range<Int>? = nil,
        schema: @escaping @Sendable (Root) -> SchemaFragment,
        read: @escaping @Sendable (NodeID, inout Root, inout ModelReader) -> Bool,
        write: @escaping @Sendable (Root, Root, RecordStyle) -> PlainValue?
    ) {
        self.key = key
        self.isRequired = isRequired
        self.hintWhenMissing = hintWhenMissing
        self.bytes = bytes
        self.schema = schema
        self.read = read
        self.write = write
    }

    static func required<Value>(
        _ key: String, _ path: WritableKeyPath<Root, Value> & Sendable, _ shape: ValueShape<Value>, _ summary: String,
        hintWhenMissing: String? = nil
    ) -> Field {
        let property = StoredProperty(path)
        return Field(
            key, isRequired: true, hintWhenMissing: hintWhenMissing,
            schema: { _ in shape.schema.adding([("description", .string(summary))]) },
            read: { assign(property, shape, $0, &$1, &$2) },
            write: { root, _, style in shape.write(property.value(of: root), style) })
    }

    /// A key with a default, which is the property's initial value.
    static func defaulted<Value: Equatable>(
        _ key: String, _ path: WritableKeyPath<Root, Value> & Sendable, _ shape: ValueShape<Value>, _ summary: String
    ) -> Field {
        let property = StoredProperty(path)
        return Field(
            key, bytes: property.bytes,
            schema: { defaults in
                let standard = shape.write(property.value(of: defaults), .compact)
                let schema = shape.schema.adding([("description", .string(summary))])
                // An empty list is not named as the default, since the schema may refuse empty lists. Leaving the key
                // out is valid nevertheless.
                return standard == .list([]) ? schema : schema.adding([("default", standard)])
            },
            read: { assign(property, shape, $0, &$1, &$2) },
            write: { root, defaults, style in
                let value = property.value(of: root)
                if style.omitsDefaults, value == property.value(of: defaults) { return nil }
                return shape.write(value, style)
            })
    }

    /// An optional key without a default.
    static func optional<Value>(
        _ key: String, _ path: WritableKeyPath<Root, Value?> & Sendable, _ shape: ValueShape<Value>, _ summary: String
    ) -> Field {
        let property = StoredProperty(path)
        return Field(
            key, bytes: property.bytes,
            schema: { _ in shape.schema.adding([("description", .string(summary))]) },
            read: { node, root, reader in
                guard let value = shape.read(node, &reader) else { return false }
                property.set(value, of: &root)
                return true
            },
            write: { root, _, style in
                property.value(of: root).map { shape.write($0, style == .creation ? .complete : style) }
            })
    }

    /// A key whose value is the same in all objects of a kind. The value tells the reader which kind an object is.
    static func tag(_ key: String, _ value: String, _ summary: String) -> Field {
        let schema = SchemaFragment([("const", .string(value)), ("description", .string(summary))])
        return .check(key, schema, read: { _, _ in true }, written: .string(value))
    }

    /// A required key whose value is checked but not kept in the object.
    static func check(
        _ key: String, _ schema: SchemaFragment, hintWhenMissing: String? = nil,
        read: @escaping @Sendable (NodeID, inout ModelReader) -> Bool, written: PlainValue
    ) -> Field {
        Field(
            key, isRequired: true, hintWhenMissing: hintWhenMissing,
            schema: { _ in schema },
            read: { node, _, reader in read(node, &reader) },
            write: { _, _, _ in written })
    }

    /// A key that is another way to write the value of a second key, such as `issuer` for `issuers`. Records contain
    /// only the second key.
    static func alternative(
        _ key: String, _ schema: SchemaFragment,
        read: @escaping @Sendable (NodeID, inout Root, inout ModelReader) -> Bool
    ) -> Field {
        Field(key, bytes: 0..<0, schema: { _ in schema }, read: read, write: { _, _, _ in nil })
    }

    /// A mapping whose keys are read into the same object, so that the model can be flatter than the file.
    static func nested(_ key: String, _ summary: String, _ object: ObjectShape<Root>) -> Field {
        Field(
            key,
            schema: { _ in object.schema },
            read: { node, root, reader in object.read(node, into: &root, &reader) },
            write: { root, _, style in
                let entries = object.entries(of: root, style)
                return entries.isEmpty ? nil : .object(entries)
            })
    }

    private static func assign<Value>(
        _ property: StoredProperty<Root, Value>, _ shape: ValueShape<Value>, _ node: NodeID, _ root: inout Root,
        _ reader: inout ModelReader
    ) -> Bool {
        guard let value = shape.read(node, &reader) else { return false }
        property.set(value, of: &root)
        return true
    }
}
