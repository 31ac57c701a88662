/// One kind of value in the file: how it is read, written back, and described to editors.
///
/// Shapes describe the whole file. The reader, the records, the plan and the JSON Schema follow from the same shapes,
/// so they can't disagree.
struct ValueShape<Value: Sendable>: Sendable {
    private let makeSchema: @Sendable () -> SchemaFragment
    /// Reads a node's value; reports a fault and returns nil when the node is faulty.
    let read: @Sendable (NodeID, inout ModelReader) -> Value?
    let write: @Sendable (Value, RecordStyle) -> PlainValue

    /// Makes a shape. Its schema is evaluated only when needed.
    init(
        schema: @autoclosure @escaping @Sendable () -> SchemaFragment,
        read: @escaping @Sendable (NodeID, inout ModelReader) -> Value?,
        write: @escaping @Sendable (Value, RecordStyle) -> PlainValue
    ) {
        self.makeSchema = schema
        self.read = read
        self.write = write
    }

    var schema: SchemaFragment { makeSchema() }
}

/// How an object is written, for the state or for people.
package enum RecordStyle: Sendable {
    /// Only values that differ from the defaults. The state stores objects in this form.
    case compact
    /// For people: like `compact`, but an optional object is written with all its values, since its presence matters.
    /// Secrets are written as `(hidden)`.
    case creation
    /// For people: every value that is set. Secrets are written as `(hidden)`.
    case complete
    /// For comparing two objects: like `complete`, with secrets as `compact` writes them. People must not see this.
    case exact

    var omitsDefaults: Bool { self == .compact || self == .creation }
    var hidesSecrets: Bool { self == .creation || self == .complete }
}

/// Why a text is not a valid value. Never quotes secrets.
package struct ValueFault: Error {
    package let message: String
    package let hint: String?

    package init(_ message: String, hint: String? = nil) {
        self.message = message
        self.hint = hint
    }
}

extension ValueShape {
    /// A value written as text, such as a duration. `expected` describes the value in messages.
    static func text(
        _ expected: String, _ schema: @autoclosure @escaping @Sendable () -> SchemaFragment,
        parse: @escaping @Sendable (String) throws(ValueFault) -> Value,
        format: @escaping @Sendable (Value) -> String,
        hintForNumber: @escaping @Sendable (String) -> String = { "put it in quotes: \"\($0)\"" }
    ) -> ValueShape {
        ValueShape(
            schema: schema(),
            read: { node, reader in
                let written = reader.scalarText(of: node)
                if !written.mayHoldSecret { reader.show(node) }
                let type = reader.type(of: node)
                guard type == .text else {
                    let isNumber = type.map { $0 != .null } ?? false
                    let hint = isNumber ? hintForNumber(written) : nil
                    reader.failExpecting(expected, at: node, quoting: true, hint: hint)
                    return nil
                }
                do throws(ValueFault) {
                    return try parse(written)
                } catch {
                    reader.fail(node, error.message, hint: error.hint)
                    return nil
                }
            },
            write: { value, _ in .string(format(value)) }
        )
    }

    /// A list of values. Faulty items are reported and left out.
    static func list<Item>(
        of item: ValueShape<Item>, allowsEmpty: Bool = true, atMost maximum: Int = .max, _ noun: String
    ) -> ValueShape where Value == [Item] {
        ValueShape(
            schema: .list(of: item.schema, allowsEmpty: allowsEmpty, atMost: maximum),
            read: { node, reader in
                guard reader.document.kind(of: node) == .sequence else {
                    let isNothing = reader.type(of: node) == .null
                    let isScalar = reader.document.kind(of: node).isScalar
                    let hint = isNothing ? "write [], or remove the key" : isScalar ? "put it in brackets: [ … ]" : nil
                    reader.failExpecting("a list of \(noun)", at: node, hint: hint)
                    return nil
                }
                let nodes = reader.document.items(of: node)
                guard allowsEmpty || !nodes.isEmpty else {
                    reader.fail(node, "expected \(noun), found an empty list")
                    return nil
                }
                guard nodes.count <= maximum else {
                    reader.fail(node, "expected at most \(maximum) \(noun), found \(nodes.count)")
                    return nil
                }
                var items: [Item] = []
                items.reserveCapacity(nodes.count)
                var lost: Set<NodeID> = []
                for child in nodes {
                    if let value = item.read(child, &reader) {
                        items.append(value)
                    } else {
                        lost.insert(child)
                    }
                }
                if !lost.isEmpty {
                    reader.markFaulty(node)
                    reader.keep(nodes.filter { !lost.contains($0) }, of: node)
                }
                return items
            },
            write: { items, style in .list(items.map { item.write($0, style) }) }
        )
    }

    /// The same shape with a named definition in the schema, so that the schema describes it once.
    func defined(as name: String) -> ValueShape {
        ValueShape(schema: schema.defined(as: name), read: read, write: write)
    }
}
