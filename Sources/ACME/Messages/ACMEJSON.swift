import Remote

enum ACMEJSON {
    /// Decodes an answer. Unknown members are ignored (RFC 8555 section 7.1). `thing` names the answer in errors.
    static func decode<Value: Decodable>(
        _ type: Value.Type, from bytes: [UInt8], of thing: String
    ) throws(ACMEError) -> Value {
        do throws(RemoteJSON.Fault) {
            return try RemoteJSON.decode(type, from: bytes)
        } catch {
            throw .malformed(thing, reason: error.reason)
        }
    }
}
