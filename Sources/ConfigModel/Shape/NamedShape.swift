/// An object that is named by its key in the file, such as an issuer.
protocol NamedValue: Sendable {
    var name: String { get set }
    var origin: SourceOrigin { get set }
}

extension ValueShape {
    /// A mapping of names to objects, as a list in the order of the file. Each object's origin is the place of its
    /// name.
    static func named<Item: NamedValue>(_ item: ValueShape<Item>, _ noun: String) -> ValueShape
    where Value == [Item] {
        ValueShape(
            schema: .dictionary(of: item.schema, keyPattern: "^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$"),
            read: { node, reader in
                guard reader.document.kind(of: node) == .mapping else {
                    reader.failExpecting("\(noun) by name", at: node, hint: "write 'name: { … }', or remove the key")
                    return nil
                }
                var items: [Item] = []
                for entry in reader.entries(of: node) {
                    let name = reader.document.string(of: entry.key)
                    // A key that does not look like a name may be a value, even a secret, whose colon is missing.
                    if name.looksLikeKey || reader.document.kind(of: entry.value) == .mapping { reader.show(entry.key) }
                    if !Name.isValid(name) || name.utf8.count > 100 {
                        let hint = "names are up to 100 letters, digits, '-', '_' and '.'"
                        reader.fail(entry.key, "bad name\(reader.nameForMessage(ofKey: entry.key))", hint: hint)
                        continue
                    }
                    guard var value = item.read(entry.value, &reader) else {
                        // References to this name must not be reported as unknown.
                        reader.faultyNames.insert(name)
                        continue
                    }
                    value.name = name
                    value.origin = SourceOrigin(
                        position: reader.document.position(of: entry.key), node: entry.value)
                    items.append(value)
                }
                return items
            },
            write: { items, style in .map(items.map { ($0.name, item.write($0, style)) }) })
    }
}
