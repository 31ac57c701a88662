/// A value without a type of ours: what JSON can say. Plans, records and the schema are made of it. Two are equal when they
/// have the same JSON: texts are compared by their bytes, since `é` can be written in two ways that go over the wire as they are.
package enum PlainValue: Sendable, Equatable {
    /// No value.
    case null
    /// A truth value.
    case bool(Bool)
    /// A whole number.
    case int(Int)
    /// A text.
    case string(String)
    /// Values in order.
    case list([PlainValue])
    /// Named values in order.
    case object([Entry])

    /// One named value of an object.
    package struct Entry: Sendable, Equatable {
        /// The name.
        package let key: String
        /// The value.
        package let value: PlainValue

        /// A named value.
        package init(_ key: String, _ value: PlainValue) {
            self.key = key
            self.value = value
        }

        /// Whether both have the same JSON.
        package static func == (left: Entry, right: Entry) -> Bool {
            left.key.utf8.elementsEqual(right.key.utf8) && left.value == right.value
        }
    }

    /// Whether both have the same JSON.
    package static func == (left: PlainValue, right: PlainValue) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let left), .bool(let right)): left == right
        case (.int(let left), .int(let right)): left == right
        case (.string(let left), .string(let right)): left.utf8.elementsEqual(right.utf8)
        case (.list(let left), .list(let right)): left == right
        case (.object(let left), .object(let right)): left == right
        default: false
        }
    }

    /// An object of these pairs, in this order.
    package static func map(_ pairs: [(String, PlainValue)]) -> PlainValue {
        .object(pairs.map { Entry($0.0, $0.1) })
    }

    /// The value of a key, when this is an object that has it.
    package subscript(key: String) -> PlainValue? {
        guard case .object(let entries) = self else { return nil }
        return entries.first { $0.key == key }?.value
    }
}
