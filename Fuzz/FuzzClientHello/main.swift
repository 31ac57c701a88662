import Foundation
import FuzzDriver
import PKI

// Reads any bytes as an extension of a client hello. The result must be what the bytes contain, and each content has at
// most one meaning.

func take(_ bytes: [UInt8]) {
    if let hello = ClientHello(serverNameExtension: bytes.span) {
        let name = (0..<hello.serverNameCount).map { hello[$0] }
        precondition(bytes.isEmpty ? name.isEmpty : bytes == serverNames([name]))
        precondition(name.count <= 255 && !hello.asksForChallenge)
    } else {
        let name = Array(bytes.dropFirst(5))
        precondition(!(1...255).contains(name.count) || bytes != serverNames([name]), "a good name is refused")
    }
    // A name may have any bytes. A second name is refused.
    let name = Array(bytes.prefix(300))
    let isRead = ClientHello(serverNameExtension: serverNames([name]).span) != nil
    precondition(isRead == (1...255).contains(name.count))
    precondition(ClientHello(serverNameExtension: serverNames([name, [0x61]]).span) == nil)

    precondition(asksForChallenge(bytes) == (bytes == protocols([Array("acme-tls/1".utf8)])))
    if let first = bytes.first, first > 0 {
        precondition(!asksForChallenge(protocols([Array("acme-tls/1".utf8), Array(bytes.prefix(255))])))
    }
}

func asksForChallenge(_ bytes: [UInt8]) -> Bool {
    var hello = ClientHello()
    hello.readProtocols(bytes.span)
    return hello.asksForChallenge
}

/// The content of a server_name extension (RFC 6066 section 3).
func serverNames(_ names: [[UInt8]]) -> [UInt8] { counted(names.flatMap { [0] + counted($0) }) }

/// The content of an application_layer_protocol_negotiation extension (RFC 7301 section 3.1).
func protocols(_ names: [[UInt8]]) -> [UInt8] { counted(names.flatMap { [UInt8($0.count)] + $0 }) }

/// The bytes, preceded by their number in two bytes.
func counted(_ bytes: [UInt8]) -> [UInt8] { [UInt8(bytes.count >> 8), UInt8(bytes.count & 0xFF)] + bytes }

exit(fuzz(take))
