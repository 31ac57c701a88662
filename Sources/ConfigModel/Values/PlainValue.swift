/// A value that JSON can express. Plans, records and the schema consist of such values. Two values are equal when their
/// JSON is the same. Texts are compared by their bytes, since Swift's `==` treats the two encodings of `é` as equal.
package enum PlainValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case int(Int)
    case string(String)
    case list([PlainValue])
    /// Named values in order.
    case object([Entry])

    /// One named value of an object.
    package struct Entry: Sendable, Equatable {
        package let key: String
        package let value: PlainValue

        package init(_ key: String, _ value: PlainValue) {
            self.key = key
            self.value = value
        }

        /// Whether both entries have the same JSON.
        package static func == (left: Entry, right: Entry) -> Bool {
            left.key.utf8.elementsEqual(right.key.utf8) && left.value == right.value
        }
    }

    /// Whether both values have the same JSON.
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

    /// The value of a key; nil when this is no object or does not have the key.
    package subscript(key: String) -> PlainValue? {
        guard case .object(let entries) = self else { return nil }
        return entries.first { $0.key == key }?.value
    }
}
