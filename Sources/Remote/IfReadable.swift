/// A member that may be missing or of any type: nil where it is missing, null, or no `Value`.
@propertyWrapper
package struct IfReadable<Value: Decodable>: Decodable {
    /// The value, if it can be read.
    package var wrappedValue: Value?
    /// Whether there is a value that can't be read.
    package private(set) var projectedValue = false

    package init(wrappedValue: Value?) { self.wrappedValue = wrappedValue }

    /// Reads any value, and never throws.
    package init(from decoder: any Decoder) throws {
        wrappedValue = try? decoder.singleValueContainer().decode(Value.self)
        projectedValue = wrappedValue == nil
    }
}

extension IfReadable: Sendable where Value: Sendable {}

extension KeyedDecodingContainer {
    /// Synthesized initializers call this overload for an IfReadable member, also when the member is missing.
    package func decode<Value>(_ type: IfReadable<Value>.Type, forKey key: Key) throws -> IfReadable<Value> {
        try decodeIfPresent(type, forKey: key) ?? IfReadable(wrappedValue: nil)
    }
}

/// A list in which unreadable elements are skipped.
package struct ReadableList<Element: Decodable>: Decodable {
    /// The readable elements, in order.
    package let elements: [Element]
    /// For each unreadable element, its place, counted from 1, and the reason.
    package let faults: [(place: Int, reason: String)]

    package init(from decoder: any Decoder) throws {
        var list = try decoder.unkeyedContainer()
        var elements: [Element] = []
        var faults: [(place: Int, reason: String)] = []
        while !list.isAtEnd {
            // Reading a ReadAttempt never throws, so the loop continues after an unreadable element.
            switch try list.decodeIfPresent(ReadAttempt<Element>.self)?.result
                ?? .failure(RemoteJSON.Fault(reason: "it is null"))
            {
            case .success(let element): elements.append(element)
            case .failure(let fault): faults.append((list.currentIndex, fault.reason))
            }
        }
        self.elements = elements
        self.faults = faults
    }

}

/// A value, or the reason why it can't be read.
package struct ReadAttempt<Value: Decodable>: Decodable {
    package let result: Result<Value, RemoteJSON.Fault>

    /// Reads a value, and never throws.
    package init(from decoder: any Decoder) {
        do {
            result = .success(try Value(from: decoder))
        } catch {
            let reason = RemoteJSON.reason(error, below: decoder.codingPath.count)
            result = .failure(RemoteJSON.Fault(reason: reason))
        }
    }
}

extension ReadableList: Sendable where Element: Sendable {}
