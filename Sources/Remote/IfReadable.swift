/// A JSON member whose faults leave the rest of its object readable. The value is nil if the member is missing, null or
/// no `Value`.
@propertyWrapper
package struct IfReadable<Value: Decodable>: Decodable {
    package var wrappedValue: Value?
    /// Whether the member has a value that can't be read.
    package private(set) var projectedValue = false

    package init(wrappedValue: Value?) { self.wrappedValue = wrappedValue }

    package init(from decoder: any Decoder) throws {
        wrappedValue = try? decoder.singleValueContainer().decode(Value.self)
        projectedValue = wrappedValue == nil
    }
}

extension IfReadable: Sendable where Value: Sendable {}

extension KeyedDecodingContainer {
    /// Synthesized initializers call this overload for IfReadable members. It also accepts an object without the
    /// member.
    package func decode<Value>(_ type: IfReadable<Value>.Type, forKey key: Key) throws -> IfReadable<Value> {
        try decodeIfPresent(type, forKey: key) ?? IfReadable(wrappedValue: nil)
    }
}

/// A JSON list whose unreadable elements are skipped.
package struct ReadableList<Element: Decodable>: Decodable {
    package let elements: [Element]
    /// The place of each unreadable element, counted from 1, and the reason.
    package let faults: [(place: Int, reason: String)]

    package init(from decoder: any Decoder) throws {
        var list = try decoder.unkeyedContainer()
        var elements: [Element] = []
        var faults: [(place: Int, reason: String)] = []
        while !list.isAtEnd {
            // Decoding a ReadAttempt never throws. If it threw, the container would stay at the unreadable element.
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

package struct ReadAttempt<Value: Decodable>: Decodable {
    package let result: Result<Value, RemoteJSON.Fault>

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
