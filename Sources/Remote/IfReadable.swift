/// A member that others may leave out or write as they like: nil where it is missing, null, or no `Value`.
@propertyWrapper
package struct IfReadable<Value: Decodable>: Decodable {
    /// What stands there, if it can be read.
    package var wrappedValue: Value?
    /// Whether something stands there that can't be read.
    package private(set) var projectedValue = false

    /// A member as it is.
    package init(wrappedValue: Value?) { self.wrappedValue = wrappedValue }

    /// Reads what stands there, whatever it is.
    package init(from decoder: any Decoder) throws {
        wrappedValue = try? decoder.singleValueContainer().decode(Value.self)
        projectedValue = wrappedValue == nil
    }
}

extension IfReadable: Sendable where Value: Sendable {}

extension KeyedDecodingContainer {
    /// What synthesized initializers call for such a member, also where it is missing.
    package func decode<Value>(_ type: IfReadable<Value>.Type, forKey key: Key) throws -> IfReadable<Value> {
        try decodeIfPresent(type, forKey: key) ?? IfReadable(wrappedValue: nil)
    }
}

/// A list of which is taken what can be read.
package struct ReadableList<Element: Decodable>: Decodable {
    /// What can be read, in its order.
    package let elements: [Element]
    /// Of each element that can't be read its place, counted from 1, and why not.
    package let faults: [(place: Int, reason: String)]

    /// Reads the elements.
    package init(from decoder: any Decoder) throws {
        var list = try decoder.unkeyedContainer()
        var elements: [Element] = []
        var faults: [(place: Int, reason: String)] = []
        while !list.isAtEnd {
            // An attempt never throws, so the list goes on behind it.
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

/// What can be read of a value, or why it can't.
package struct ReadAttempt<Value: Decodable>: Decodable {
    /// What has come of it.
    package let result: Result<Value, RemoteJSON.Fault>

    /// Tries to read a value.
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
