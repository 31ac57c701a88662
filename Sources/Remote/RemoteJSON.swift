// Remote: what the clients of others' services share: JSON of a bounded size, times, and how often to ask again. Pure.

import FoundationEssentials

/// JSON, both ways.
package enum RemoteJSON {
    /// The longest text that is read: 1 MiB.
    package static let maximumBytes = 1 << 20

    /// Why a text can't be read.
    package struct Fault: Error, Sendable, Equatable {
        /// The reason, to stand behind a colon.
        package let reason: String
    }

    /// Reads a text. Members that the type does not have are ignored.
    package static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws(Fault) -> Value {
        guard bytes.count <= maximumBytes else { throw Fault(reason: "it is larger than 1 MiB") }
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch {
            throw Fault(reason: reason(error))
        }
    }

    /// Writes a value that consists of texts, numbers, flags and lists of them, its members in the order of their names.
    package static func encode(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(value))
        } catch {
            preconditionFailure("our own messages can be written")
        }
    }

    /// Why something can't be read that stands so deep in a text.
    static func reason(_ error: any Error, below depth: Int = 0) -> String {
        func place(_ context: DecodingError.Context) -> String {
            let path = context.codingPath.dropFirst(depth).map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }
            return path.isEmpty ? "it" : "'\(path.joined(separator: "."))'"
        }
        if let fault = error as? Fault { return fault.reason }
        switch error as? DecodingError {
        case .keyNotFound(let key, _): return "'\(key.stringValue)' is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            return "\(place(context)) is of the wrong type"
        case .dataCorrupted(let context) where context.codingPath.count > depth:
            return "\(place(context)) is nothing that is known"
        default: return "it is no JSON"
        }
    }
}
