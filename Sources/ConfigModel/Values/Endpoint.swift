/// A host and a port, parsed but not looked up.
struct HostPort {
    enum Host: Equatable {
        case address(IPAddress)
        case name(String)
        /// The text has no host before the colon.
        case any
    }

    let host: Host
    let port: Int?
    /// The host as in a URL: an IPv6 address is in brackets. Empty for `any`.
    let hostText: String

    /// Reads `host`, `host:port`, `:port` or `[v6]:port`.
    static func parse(_ text: String) throws(ValueFault) -> HostPort {
        var host = text[...]
        var port: Substring?
        if text.hasPrefix("[") {
            guard let close = text.firstIndex(of: "]") else {
                throw ValueFault("']' is missing in \(text.quotedForMessage)")
            }
            host = text[text.index(after: text.startIndex)..<close]
            let rest = text[text.index(after: close)...]
            guard rest.isEmpty || rest.hasPrefix(":") else { throw ValueFault("bad address \(text.quotedForMessage)") }
            port = rest.isEmpty ? nil : rest.dropFirst()
            guard let address = IPAddress(String(host)), address.family == .v6 else {
                throw ValueFault("bad IPv6 address \(String(host).quotedForMessage)")
            }
            return HostPort(
                host: .address(address), port: try port.map(parsePort), hostText: "[\(address.text)]")
        }
        if let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) {
            host = text[..<colon]
            port = text[text.utf8.index(after: colon)...]
            guard !host.utf8.contains(UInt8(ascii: ":")) else {
                throw ValueFault(
                    "bad address \(text.quotedForMessage)", hint: "an IPv6 address stands in brackets: [::1]:8080")
            }
        }
        let number = try port.map(parsePort)
        if host.isEmpty { return HostPort(host: .any, port: number, hostText: "") }
        let written = String(host)
        // Without brackets an address can only be IPv4, which has one spelling.
        if let address = IPAddress(written) {
            return HostPort(host: .address(address), port: number, hostText: written)
        }
        let name = try parseName(written)
        return HostPort(host: .name(name), port: number, hostText: name)
    }

    /// Reads a server's name. Unlike a host's domain it may contain '_', as names in container networks do.
    private static func parseName(_ text: String) throws(ValueFault) -> String {
        let isServerName =
            text.utf8.count <= 253 && text.utf8.contains(UInt8(ascii: "_"))
            && Name.isValid(text.replacing("_", with: "a"))
        return isServerName ? text.lowercased() : try DomainName.parse(text).text
    }

    private static func parsePort(_ text: Substring) throws(ValueFault) -> Int {
        guard text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let port = Int(text), (1...65535).contains(port)
        else {
            throw ValueFault("bad port \(String(text).quotedForMessage)", hint: "a port is a number from 1 to 65535")
        }
        return port
    }
}

extension String {
    /// The lower-case scheme of a URL and the text after `://`; nil when there is no scheme.
    var splitAtScheme: (scheme: String, rest: Substring)? {
        // Fast path: nearly every URL in the file has this scheme.
        if hasPrefix("http://") { return ("http", self[utf8.index(startIndex, offsetBy: 7)...]) }
        guard let colon = utf8.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        let rest = self[utf8.index(after: colon)...]
        guard rest.utf8.starts(with: "//".utf8) else { return nil }
        return (self[..<colon].lowercased(), rest[rest.utf8.index(rest.startIndex, offsetBy: 2)...])
    }
}

/// An address that the gateway listens on.
package struct ListenAddress: Sendable, Hashable {
    /// The interface's address; nil for all interfaces, IPv4 and IPv6.
    package let address: IPAddress?
    package let port: Int

    package init(address: IPAddress?, port: Int) {
        self.address = address
        self.port = port
    }

    /// The address as the file writes it, such as `:8443` or `[::1]:8443`.
    package var text: String {
        switch address {
        case nil: ":\(port)"
        case .some(let address): address.family == .v6 ? "[\(address.text)]:\(port)" : "\(address.text):\(port)"
        }
    }

    /// The host and port for a URL by which this machine reaches itself; nil if the address is of no loopback
    /// interface.
    package var loopbackAuthority: String? {
        guard let address, !address.isUnspecified else {
            let own = address?.family == .v6 ? "::1" : "127.0.0.1"
            return ListenAddress(address: IPAddress(own), port: port).text
        }
        return address.isLoopback ? text : nil
    }

    static func parse(_ text: String) throws(ValueFault) -> ListenAddress {
        if !text.isEmpty, text.allSatisfy(\.isNumber) {
            throw ValueFault("'\(text)' has no colon", hint: "write \":\(text)\"")
        }
        let parsed = try HostPort.parse(text)
        guard let port = parsed.port else {
            throw ValueFault("no port in \(text.quotedForMessage)", hint: "write it as address:port or :port")
        }
        switch parsed.host {
        case .any: return ListenAddress(address: nil, port: port)
        case .address(let address): return ListenAddress(address: address, port: port)
        case .name("localhost"):
            throw ValueFault("'localhost' is a name, not an address", hint: "write 127.0.0.1:\(port) or [::1]:\(port)")
        case .name:
            throw ValueFault("\(text.quotedForMessage) is not an address of this machine", hint: "write an IP address")
        }
    }
}

/// A server that a host's requests are passed on to.
package struct Upstream: Sendable, Hashable {
    /// How the gateway connects to the server.
    package enum Transport: Sendable, Hashable {
        /// Plain HTTP/1.1 over TCP.
        case http(host: String, port: Int)
        /// HTTP over TLS. The gateway verifies the server's certificate.
        case https(host: String, port: Int)
        /// Plain HTTP/2 over TCP. Both sides know that the other speaks it (RFC 9113 section 3.3).
        case h2c(host: String, port: Int)
        /// Plain HTTP over a Unix domain socket.
        case unix(path: String)
    }

    package let transport: Transport

    package var isTLS: Bool {
        if case .https = transport { true } else { false }
    }

    /// Whether the server is reached without TLS, and speaks HTTP/1.1.
    package var isPlainHTTP1: Bool {
        if case .http = transport { true } else { false }
    }

    /// Whether the URL itself says that the server speaks HTTP/2.
    package var isHTTP2: Bool {
        if case .h2c = transport { true } else { false }
    }

    /// The upstream as the file writes it. A port that is the scheme's default is left out.
    package var text: String {
        switch transport {
        case .http(let host, let port): "http://\(host)\(port == 80 ? "" : ":\(port)")"
        case .https(let host, let port): "https://\(host)\(port == 443 ? "" : ":\(port)")"
        case .h2c(let host, let port): "h2c://\(host)\(port == 80 ? "" : ":\(port)")"
        case .unix(let path): "unix:\(path)"
        }
    }

    /// Reads an upstream: `http://`, `https://` or `h2c://` with a host and a port, or `unix:` with a path.
    package static func parse(_ text: String) throws(ValueFault) -> Upstream {
        if text.hasPrefix("unix:") { return try unix(String(text.dropFirst(5)), of: text) }
        // The check for '@' comes first: a text with '@' may contain a password, and the messages of the later checks
        // quote the text.
        guard !text.utf8.hasAny(where: { $0 == UInt8(ascii: "@") }) else {
            throw ValueFault("an upstream's URL can't contain a user name or password")
        }
        guard let (scheme, rest) = text.splitAtScheme else {
            throw ValueFault("upstream \(text.quotedForMessage) has no scheme", hint: "did you mean http://\(text)?")
        }
        guard ["http", "https", "h2c"].contains(scheme) else {
            throw ValueFault(
                "unknown scheme \(scheme.quotedForMessage)",
                hint: "upstreams are http://, https://, h2c:// or unix:/path")
        }
        let authority = String(rest.utf8.last == UInt8(ascii: "/") ? rest.dropLast() : rest)
        guard !authority.utf8.hasAny(where: isPathStart) else {
            throw ValueFault(
                "an upstream has no path: \(text.quotedForMessage)",
                hint: "requests are passed on with the path they came with")
        }
        let parsed = try HostPort.parse(authority)
        guard parsed.host != .any else { throw ValueFault("no host in \(text.quotedForMessage)") }
        if case .name(let name) = parsed.host, name.hasPrefix("*") {
            throw ValueFault("an upstream can't be a wildcard: \(text.quotedForMessage)")
        }
        let host = parsed.hostText
        let transport: Transport =
            switch scheme {
            case "https": .https(host: host, port: parsed.port ?? 443)
            case "h2c": .h2c(host: host, port: parsed.port ?? 80)
            default: .http(host: host, port: parsed.port ?? 80)
            }
        return Upstream(transport: transport)
    }

    /// Whether a byte ends the authority of a URL (RFC 3986 section 3.2).
    private static func isPathStart(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "/") || byte == UInt8(ascii: "?") || byte == UInt8(ascii: "#")
    }

    private static func unix(_ path: String, of text: String) throws(ValueFault) -> Upstream {
        // sockaddr_un holds 108 bytes, the final NUL included.
        guard path.hasPrefix("/"), path.utf8.count <= 107, !path.utf8.contains(0) else {
            throw ValueFault(
                "bad socket path in \(text.quotedForMessage)",
                hint: "write unix:/absolute/path, of at most 107 bytes")
        }
        return Upstream(transport: .unix(path: path))
    }
}

extension ValueShape where Value == ListenAddress {
    static let listenAddress = text(
        "an address to listen on",
        .string(
            "address:port, or :port for all interfaces", pattern: ":[0-9]+$",
            examples: [":443", "127.0.0.1:8443", "[::1]:8443"]),
        parse: ListenAddress.parse, format: \.text, hintForNumber: { "write \":\($0)\"" }
    ).defined(as: "listen_address")
}

extension ValueShape where Value == Upstream {
    static let upstream = text(
        "an upstream",
        .string(
            "http://host:port, https://host:port, h2c://host:port or unix:/path",
            pattern: "^([Hh][Tt][Tt][Pp][Ss]?://|[Hh]2[Cc]://|unix:/)",
            examples: ["http://127.0.0.1:3000", "https://backend.internal", "unix:/run/app.sock"]),
        parse: Upstream.parse, format: \.text
    ).defined(as: "upstream")
}
