import FoundationEssentials

/// JSON, both ways.
enum ACMEJSON {
    /// The longest answer that is read: 1 MiB.
    static let maximumBytes = 1 << 20

    /// Reads an answer. Members that the type does not have are ignored (RFC 8555, section 7.1).
    static func decode<Value: Decodable>(
        _ type: Value.Type, from bytes: [UInt8], of thing: String
    ) throws(ACMEError) -> Value {
        guard bytes.count <= maximumBytes else { throw .malformed(thing, reason: "it is larger than 1 MiB") }
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch let error as DecodingError {
            throw .malformed(thing, reason: reason(error))
        } catch {
            throw .malformed(thing, reason: "it is no JSON")
        }
    }

    /// Writes a value, its members in the order of their names.
    static func encode(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(value))
        } catch {
            preconditionFailure("our own messages are strings, numbers and lists of them")
        }
    }

    private static func reason(_ error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, _): "'\(key.stringValue)' is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            "'\(context.codingPath.map(\.stringValue).joined(separator: "."))' is of the wrong type"
        default: "it is no JSON"
        }
    }
}
