import SystemPackage

package struct DNSServer: Sendable, Hashable, CustomStringConvertible {
    /// An IP address or a host name. A host name is resolved for each message.
    package let host: String
    /// The port for both UDP and TCP.
    package let port: UInt16

    package static let defaultPort: UInt16 = 53
    private static let resolverFile = "/etc/resolv.conf"

    package init(host: String, port: UInt16 = defaultPort) {
        self.host = host
        self.port = port
    }

    /// Reads `host`, `host:port` or `[IPv6]:port`.
    package init(_ text: String) throws(DNSFailure) {
        let bad = DNSFailure("'\(text.prefix(300))' is no name server", hint: "write it as host:port")
        let isBracketed = text.hasPrefix("[")
        let split = isBracketed ? text.firstIndex(of: "]") : text.lastIndex(of: ":") ?? text.endIndex
        guard let split else { throw bad }
        let rest = isBracketed ? text[text.index(after: split)...] : text[split...]
        let port = rest.isEmpty ? Self.defaultPort : rest.hasPrefix(":") ? UInt16(rest.dropFirst()) : nil
        let host = isBracketed ? text[..<split].dropFirst() : text[..<split]
        let isHost = !host.isEmpty && host.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
        guard let port, port > 0, isHost, isBracketed == host.utf8.contains(UInt8(ascii: ":")) else { throw bad }
        self.init(host: String(host), port: port)
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// The name servers in /etc/resolv.conf. If the file names none, the server at 127.0.0.1 (resolv.conf(5)).
    static func ofSystem() throws(DNSFailure) -> [DNSServer] {
        do {
            let file = try FileDescriptor.open(FilePath(resolverFile), .readOnly, options: .closeOnExec)
            let text = try file.closeAfter {
                try unsafe String(unsafeUninitializedCapacity: 1 << 16) { buffer in
                    // This is safe, since `file.read` writes at most as many bytes as the buffer has.
                    try unsafe file.read(into: UnsafeMutableRawBufferPointer(buffer))
                }
            }
            return named(in: text)
        } catch {
            throw DNSFailure("can't read \(resolverFile): \(error)")
        }
    }

    /// The name servers in the text of a resolv.conf(5) file.
    static func named(in text: String) -> [DNSServer] {
        let servers = text.split(whereSeparator: \.isNewline).compactMap { line in
            let words = line.split(whereSeparator: \.isWhitespace)
            return words.count >= 2 && words[0] == "nameserver" ? DNSServer(host: String(words[1])) : nil
        }
        return servers.isEmpty ? [DNSServer(host: "127.0.0.1")] : servers
    }
}
