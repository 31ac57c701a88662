/// The parts of a TLS client hello by which the gateway chooses a certificate.
@safe
package struct ClientHello {
    /// The server name as the client sent it, at most 255 bytes (RFC 6066 section 3). Only the first `serverNameCount`
    /// bytes are used.
    private var name = InlineArray<255, UInt8>(repeating: 0)
    /// The length of the server name in bytes. 0 if the client sent no server name.
    package private(set) var serverNameCount = 0
    /// Whether the client is a CA that validates a tls-alpn-01 challenge. Such a client offers `acme-tls/1` as its only
    /// protocol (RFC 8737 section 3).
    package private(set) var asksForChallenge = false

    /// Makes a hello without a server name and protocols.
    package init() {}

    /// The protocol that validates a tls-alpn-01 challenge.
    package static let challengeProtocol = "acme-tls/1"

    /// Sets `asksForChallenge` if the client offers `acme-tls/1` and nothing else. `bytes` are the content of the ALPN
    /// extension (RFC 7301 section 3.1).
    package mutating func readProtocols(_ bytes: Span<UInt8>) {
        let name = Self.challengeProtocol.utf8
        // The content must be a list with one name: the length of the list, the length of the name, and the name.
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

    /// Reads the content of the extension server_name. Empty content means that the client sent no server name.
    ///
    /// - Returns: Nil if the content breaks RFC 6066: more than one name, another type of name, or wrong lengths.
    package init?(serverNameExtension bytes: Span<UInt8>) {
        if bytes.isEmpty { return }
        // The content must be a list with one name: the list's length (2 bytes), the type 0 (host_name), the name's
        // length (2 bytes) and the name.
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
