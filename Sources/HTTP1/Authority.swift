/// A host and port as in Host or an absolute target (RFC 3986 section 3.2), checked and brought to one form.
struct Authority {
    /// The host without port and without one trailing dot; an IPv6 address with its brackets.
    var host = ByteRange()
    /// The port, if one is given: 1 to 65535.
    var port: UInt16?

    /// Nobody: HTTP/1.0 without Host.
    init() {}

    /// Reads `host [":" port]`; there may be no user, and names are letters, digits, "-", "." and "_".
    init(_ head: Span<UInt8>, _ text: ByteRange) throws(HeadFault) {
        let start = Int(text.start)
        let end = Int(text.end)
        guard start < end else { throw .badHost }
        var at = start
        if head[start] == .ascii("[") {
            while at < end, head[at] != .ascii("]") { at += 1 }
            guard at < end, IPText.isIPv6(head, start + 1, at) else { throw .badHost }
            at += 1
            host = ByteRange(start, at)
        } else {
            at = try Self.nameEnd(head, start, end)
            host = ByteRange(start, head[at - 1] == .ascii(".") ? at - 1 : at)
            guard !host.isEmpty, host.count <= 253 else { throw .badHost }
            try Self.checkNumbers(head, host)
        }
        if at < end { port = try Self.port(head, at, end) }
    }

    /// Whether both name the same host and, with a scheme's port where none is given, port.
    func names(_ other: Authority, _ head: Span<UInt8>, defaultPort: UInt16) -> Bool {
        (port ?? defaultPort) == (other.port ?? defaultPort) && head.equalsIgnoringCase(host, other.host)
    }

    /// The end of a name without empty labels, but for the one after a last dot.
    private static func nameEnd(_ head: Span<UInt8>, _ start: Int, _ end: Int) throws(HeadFault) -> Int {
        var at = start
        var afterDot = true
        while at < end, head[at] != .ascii(":") {
            let byte = head[at]
            guard ByteSet.hostName.contains(byte), !(afterDot && byte == .ascii(".")) else { throw .badHost }
            afterDot = byte == .ascii(".")
            at += 1
        }
        guard at > start else { throw .badHost }
        return at
    }

    /// A name whose last label is a number is an IPv4 address in dotted decimal or nothing, lest anyone reads another
    /// address from it.
    private static func checkNumbers(_ head: Span<UInt8>, _ host: ByteRange) throws(HeadFault) {
        var at = Int(host.end)
        while at > Int(host.start), head[at - 1].isDigit { at -= 1 }
        let isNumber = at < Int(host.end) && (at == Int(host.start) || head[at - 1] == .ascii("."))
        guard !isNumber || IPText.isIPv4(head, Int(host.start), Int(host.end)) else { throw .badHost }
    }

    /// Reads `":" *5DIGIT`; no digits are no port.
    private static func port(_ head: Span<UInt8>, _ start: Int, _ end: Int) throws(HeadFault) -> UInt16? {
        guard head[start] == .ascii(":"), end - start <= 6 else { throw .badHost }
        guard start + 1 < end else { return nil }
        var port = 0
        for at in start + 1..<end {
            guard head[at].isDigit else { throw .badHost }
            port = port * 10 + Int(head[at] &- 0x30)
        }
        guard let port = UInt16(exactly: port), port > 0 else { throw .badHost }
        return port
    }
}
