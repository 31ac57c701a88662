import Glibc

/// A mapping with known keys, which is read into a struct.
struct ObjectShape<Value: Sendable>: Sendable {
    /// The object's kind with its article, such as `a host`, for messages.
    let noun: String
    private let summary: String
    /// The value with all defaults, before any key is read.
    private let initial: Value
    /// Stores the mapping's place in the file; nil for structs that do not keep their place.
    private let place: (@Sendable (inout Value, SourceOrigin) -> Void)?
    private let fields: [Field<Value>]
    /// The keys of `fields` in one run of bytes, and the range of each key in it. Comparing keys must be fast, since it
    /// happens far more often than reading a field.
    private let keyText: [UInt8]
    private let keyPlaces: [Range<Int>]
    /// The byte range of each field's property, copied from `fields`, since records read these ranges far more often
    /// than the rest of a field.
    private let valuePlaces: [Range<Int>?]

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
        self.keyText = fields.flatMap { Array($0.key.utf8) }
        var end = 0
        self.keyPlaces = fields.map { field in
            defer { end += field.key.utf8.count }
            return end..<end + field.key.utf8.count
        }
        self.valuePlaces = fields.map(\.bytes)
    }

    var keys: [String] { fields.map(\.key) }

    var schema: SchemaFragment {
        .object(
            summary, properties: fields.map { ($0.key, $0.schema(initial)) },
            required: fields.filter(\.isRequired).map(\.key))
    }

    var shape: ValueShape<Value> {
        ValueShape(schema: schema, read: read, write: write)
    }

    /// Reads a mapping. For any other node it reports a fault and returns nil.
    ///
    /// A faulty or missing field is reported and keeps its default, so that the other fields are checked too.
    @Sendable func read(_ node: NodeID, _ reader: inout ModelReader) -> Value? {
        var value = initial
        place?(&value, SourceOrigin(position: reader.document.position(of: node), node: node))
        return read(node, into: &value, &reader) ? value : nil
    }

    /// Reads a mapping's keys into a value; reports anything that is no mapping and returns false.
    func read(_ node: NodeID, into value: inout Value, _ reader: inout ModelReader) -> Bool {
        guard reader.document.kind(of: node) == .mapping else {
            reader.failExpecting(noun, at: node, hint: "write its fields as 'key: value', or remove the key")
            return false
        }
        var seen: UInt64 = 0
        for entry in reader.entries(of: node) {
            guard let index = index(of: entry.key, in: reader.document) else {
                // The field that was probably meant counts as present, so it is not reported as missing too. If its
                // value is a list or mapping, it is read, so that faults in it are reported too.
                if let meant = failUnknown(entry, in: node, &reader), seen & (1 << UInt64(meant)) == 0 {
                    seen |= 1 << UInt64(meant)
                    let isBranch = !reader.document.kind(of: entry.value).isScalar
                    if isBranch, reader.value(of: fields[meant].key, in: node) == nil {
                        _ = fields[meant].read(entry.value, &value, &reader)
                    }
                }
                continue
            }
            seen |= 1 << UInt64(index)
            reader.show(entry.key)
            if !fields[index].read(entry.value, &value, &reader) { reader.markFaulty(entry.value) }
            if reader.isFaulty(entry.value) { reader.markFaulty(node) }
        }
        for index in fields.indices where fields[index].isRequired && seen & (1 << UInt64(index)) == 0 {
            reader.fail(node, "\(noun) needs '\(fields[index].key)'", hint: fields[index].hintWhenMissing)
        }
        return true
    }

    private func index(of key: NodeID, in document: YAMLDocument) -> Int? {
        for index in keyPlaces.indices where document.scalar(key, equals: keyText, in: keyPlaces[index]) {
            return index
        }
        return nil
    }

    /// The defaults with the value of one key, for a caller that needs this value before the rest. Reports nothing.
    func value(of key: String, in node: NodeID, _ document: YAMLDocument) -> Value {
        var value = initial
        var reader = ModelReader(document)
        if let child = reader.value(of: key, in: node), let index = fields.firstIndex(where: { $0.key == key }) {
            _ = fields[index].read(child, &value, &reader)
        }
        return value
    }

    /// Reports an unknown key. Returns the index of the field that was probably meant.
    private func failUnknown(_ entry: ModelReader.Entry, in node: NodeID, _ reader: inout ModelReader) -> Int? {
        let name = reader.document.string(of: entry.key)
        let meant = Suggestion.nearest(to: name, in: keys)
        // A lone word, as in `{ word }`, may be a value whose key is missing, so the message does not quote it.
        let isAlone = reader.type(of: entry.value) == .null && meant == nil
        let shownName = isAlone ? "" : reader.nameForMessage(ofKey: entry.key)
        reader.fail(
            entry.key, "unknown key\(shownName) in \(noun)",
            hint: meant.map { "did you mean '\($0)'?" } ?? "known keys: " + keys.joined(separator: ", "))
        reader.markUnknownKey(in: node)
        return meant.flatMap { keys.firstIndex(of: $0) }
    }

    @Sendable func write(_ value: Value, _ style: RecordStyle) -> PlainValue { .object(entries(of: value, style)) }

    /// The keys and values of an object, in the order of the fields.
    func entries(of value: Value, _ style: RecordStyle) -> [PlainValue.Entry] {
        var entries: [PlainValue.Entry] = []
        let untouched = style.omitsDefaults ? untouchedFields(of: value) : 0
        // The loop uses indices, since copying a field costs more than finding out that its value is the default.
        for index in fields.indices where untouched & (1 << UInt64(index)) == 0 {
            if let written = fields[index].write(value, initial, style) {
                entries.append(PlainValue.Entry(fields[index].key, written))
            }
        }
        return entries
    }

    /// A bit for each field. A set bit means that the property's bytes equal those of the default, so the values are
    /// equal. A clear bit means that the values must be compared.
    private func untouchedFields(of value: borrowing Value) -> UInt64 {
        // This is sound: the ranges belong to stored properties, and both pointers point to a whole Value.
        unsafe withUnsafePointer(to: value) { value in
            unsafe withUnsafePointer(to: initial) { initial in
                let (value, initial) = unsafe (UnsafeRawPointer(value), UnsafeRawPointer(initial))
                return valuePlaces.indices.reduce(into: 0) { untouched, index in
                    guard let place = valuePlaces[index] else { return }
                    let start = place.lowerBound
                    if unsafe memcmp(value + start, initial + start, place.count) == 0 {
                        untouched |= 1 << UInt64(index)
                    }
                }
            }
        }
    }
}
