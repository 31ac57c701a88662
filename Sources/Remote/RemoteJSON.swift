// Remote: helpers for clients of remote services: JSON of limited size, times, and delays before a repeated call. The
// module is pure.

import FoundationEssentials

package enum RemoteJSON {
    /// The largest text that is read, 1 MiB.
    package static let maximumBytes = 1 << 20

    package struct Fault: Error, Sendable, Equatable {
        /// A clause that an error message puts after a colon.
        package let reason: String
    }

    /// Reads a JSON text. Unknown members are ignored.
    package static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws(Fault) -> Value {
        guard bytes.count <= maximumBytes else { throw Fault(reason: "it is larger than 1 MiB") }
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch {
            throw Fault(reason: reason(error))
        }
    }

    /// Writes a value as JSON with sorted member names. The value must consist of texts, numbers, booleans and lists,
    /// which can always be encoded.
    package static func encode(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(value))
        } catch {
            preconditionFailure("our own messages can be written")
        }
    }

    /// Describes a decoding error. The described path leaves out its first `depth` levels.
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
