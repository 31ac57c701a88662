/// A mapping with known keys that is read into a struct.
struct ObjectShape<Value: Sendable>: Sendable {
    /// What it is called in messages, with its article: `a host`.
    let noun: String
    private let summary: String
    /// The value before any key is read: the defaults.
    private let initial: Value
    /// Tells a value where it was written.
    private let place: (@Sendable (inout Value, SourceOrigin) -> Void)?
    private let fields: [Field<Value>]

    init(
        _ noun: String, _ summary: String, initial: Value,
        place: (@Sendable (inout Value, SourceOrigin) -> Void)? = nil, fields: [Field<Value>]
    ) {
        precondition(fields.count <= UInt64.bitWidth, "seen fields are kept in one word")
        self.noun = noun
        self.summary = summary
        self.initial = initial
        self.place = place
        self.fields = fields
    }

    var schema: SchemaFragment {
        .object(
            summary, properties: fields.map { ($0.key, $0.schema(initial)) },
            required: fields.filter(\.isRequired).map(\.key))
    }

    var shape: ValueShape<Value> {
        ValueShape(schema: schema, read: read, write: write)
    }

    /// The value of a mapping. Faulty fields keep their defaults after complaining; nil when a required one is faulty.
    @Sendable func read(_ node: NodeID, _ reader: inout ModelReader) -> Value? {
        var value = initial
        place?(&value, SourceOrigin(position: reader.document.position(of: node), node: node))
        return read(node, into: &value, &reader) ? value : nil
    }

    /// Reads a mapping's keys into a value; false when a required one is missing or faulty.
    func read(_ node: NodeID, into value: inout Value, _ reader: inout ModelReader) -> Bool {
        guard reader.document.kind(of: node) == .mapping else {
            reader.failExpecting(noun, at: node, hint: "write its fields as 'key: value'")
            return false
        }
        var seen: UInt64 = 0
        var isComplete = true
        for entry in reader.entries(of: node) {
            guard let index = fields.firstIndex(where: { reader.document.scalar(entry.key, equals: $0.keyBytes) })
            else {
                failUnknown(entry.key, &reader)
                reader.markFaulty(node)
                continue
            }
            seen |= 1 << UInt64(index)
            guard !fields[index].read(entry.value, &value, &reader) else { continue }
            reader.markFaulty(entry.value)
            if fields[index].isRequired { isComplete = false }
        }
        for (index, field) in fields.enumerated() where field.isRequired && seen & (1 << UInt64(index)) == 0 {
            reader.fail(node, "\(noun) needs '\(field.key)'", hint: field.hintWhenMissing)
            isComplete = false
        }
        return isComplete
    }

    private func failUnknown(_ key: NodeID, _ reader: inout ModelReader) {
        let name = reader.document.string(of: key)
        let keys = fields.map(\.key)
        let hint = Suggestion.hint(for: name, in: keys) ?? "known keys: " + keys.joined(separator: ", ")
        reader.fail(key, "unknown key \(name.quotedForMessage) in \(noun)", hint: hint)
    }

    @Sendable func write(_ value: Value, _ style: RecordStyle) -> PlainValue { .object(entries(of: value, style)) }

    /// The keys and values of an object, in the order of the fields.
    func entries(of value: Value, _ style: RecordStyle) -> [PlainValue.Entry] {
        var entries: [PlainValue.Entry] = []
        for field in fields {
            if let written = field.write(value, initial, style) {
                entries.append(PlainValue.Entry(field.key, written))
            }
        }
        return entries
    }
}
