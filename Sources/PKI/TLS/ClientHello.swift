/// What a client's first message asks for, as far as choosing a certificate needs it.
@safe
package struct ClientHello {
    /// The name as the client sent it (RFC 6066, section 3), with no byte changed: 0 to 255 bytes, in the first of 256.
    private var name = InlineArray<255, UInt8>(repeating: 0)
    /// How long the name is; 0 when none was sent.
    package private(set) var serverNameCount = 0
    /// Whether it wants nothing but to validate a challenge: `acme-tls/1` is the only protocol it offers (RFC 8737 section 3).
    package private(set) var asksForChallenge = false

    /// A client's that asks for nothing.
    package init() {}

    /// The protocol of validations by tls-alpn-01.
    package static let challengeProtocol = "acme-tls/1"

    /// Reads the content of an application_layer_protocol_negotiation extension (RFC 7301 section 3.1).
    package mutating func readProtocols(_ bytes: Span<UInt8>) {
        let name = Self.challengeProtocol.utf8
        // The list's length, and one name with its length.
        guard bytes.count == name.count + 3, Int(bytes[0]) << 8 | Int(bytes[1]) == name.count + 1,
            Int(bytes[2]) == name.count
        else { return }
        var position = 3
        for byte in name {
            guard bytes[position] == byte else { return }
            position += 1
        }
        asksForChallenge = true
    }

    /// Reads the content of a server_name extension; an empty one stands for none.
    ///
    /// - Returns: Nil when it breaks RFC 6066: more than one name, another type, lengths that disagree.
    package init?(serverNameExtension bytes: Span<UInt8>) {
        if bytes.isEmpty { return }
        // A list's length, one entry of type 0 (host_name), the name's length, the name.
        guard bytes.count > 5, Int(bytes[0]) << 8 | Int(bytes[1]) == bytes.count - 2, bytes[2] == 0,
            Int(bytes[3]) << 8 | Int(bytes[4]) == bytes.count - 5, bytes.count - 5 <= 255
        else { return nil }
        serverNameCount = bytes.count - 5
        for index in 0..<serverNameCount { name[index] = bytes[index + 5] }
    }

    /// A byte of the name.
    package subscript(index: Int) -> UInt8 {
        precondition(index < serverNameCount)
        return name[index]
    }
}
