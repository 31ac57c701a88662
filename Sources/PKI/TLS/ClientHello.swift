/// The parts of a client's first TLS message that choose its certificate.
@safe
package struct ClientHello {
    /// The server name exactly as the client sent it (RFC 6066, section 3): the first `serverNameCount` bytes, at most
    /// 255.
    private var name = InlineArray<255, UInt8>(repeating: 0)
    /// The length of the server name in bytes; 0 when the client sent none.
    package private(set) var serverNameCount = 0
    /// Whether the client only wants to validate a challenge: `acme-tls/1` is the only protocol it offers (RFC 8737
    /// section 3).
    package private(set) var asksForChallenge = false

    /// The hello of a client that sent no server name and no protocol.
    package init() {}

    /// The protocol that validates a tls-alpn-01 challenge.
    package static let challengeProtocol = "acme-tls/1"

    /// Reads the content of an application_layer_protocol_negotiation extension (RFC 7301 section 3.1).
    package mutating func readProtocols(_ bytes: Span<UInt8>) {
        let name = Self.challengeProtocol.utf8
        // The extension has the list's length, then one name preceded by its length.
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

    /// Reads the content of a server_name extension. Empty content means that the client sent no name.
    ///
    /// - Returns: Nil when the content breaks RFC 6066: more than one name, another type, lengths that disagree.
    package init?(serverNameExtension bytes: Span<UInt8>) {
        if bytes.isEmpty { return }
        // The content is the list's length, then one entry: type 0 (host_name), the name's length, the name.
        guard bytes.count > 5, Int(bytes[0]) << 8 | Int(bytes[1]) == bytes.count - 2, bytes[2] == 0,
            Int(bytes[3]) << 8 | Int(bytes[4]) == bytes.count - 5, bytes.count - 5 <= 255
        else { return nil }
        serverNameCount = bytes.count - 5
        for index in 0..<serverNameCount { name[index] = bytes[index + 5] }
    }

    /// The byte of the server name at `index`, which must be below `serverNameCount`.
    package subscript(index: Int) -> UInt8 {
        precondition(index < serverNameCount)
        return name[index]
    }
}
