/// A host and port as in Host or an absolute target (RFC 3986 section 3.2), checked and brought to one form.
struct Authority {
    /// The host without port and without one trailing dot; an IPv6 address with its brackets. Empty for a name that is
    /// well written but can't be a host's, so that no route leads to it and nobody reads another host from it.
    var host = ByteRange()
    /// The port, if one is given: 1 to 65535.
    var port: UInt16?

    /// Nobody: HTTP/1.0 without Host.
    init() {}

    /// Reads `host [":" port]`; there may be no user.
    init(_ head: Span<UInt8>, _ text: ByteRange) throws(HeadFault) {
        let start = Int(text.start)
        let end = Int(text.end)
        guard start < end else { throw .badHost }
        let stop: Int
        if head[start] == .ascii("[") {
            stop = try readLiteral(head, start, end)
        } else {
            stop = try readName(head, start, end)
        }
        if stop < end { port = try Self.port(head, stop, end) }
    }

    /// Reads an address in brackets and gives the offset after it. Nobody has defined an address of a future version.
    private mutating func readLiteral(_ head: Span<UInt8>, _ start: Int, _ end: Int) throws(HeadFault) -> Int {
        var at = start
        while at < end, head[at] != .ascii("]") { at += 1 }
        guard at < end else { throw .badHost }
        if IPText.isIPv6(head, start + 1, at) {
            host = ByteRange(start, at + 1)
        } else {
            guard IPText.isFuture(head, start + 1, at) else { throw .badHost }
        }
        return at + 1
    }

    /// Reads a `reg-name` and gives the offset after it. A host's name has letters, digits, "-" and "_" in its labels,
    /// none of which is empty but the one after a last dot, and no more than 253 bytes.
    private mutating func readName(_ head: Span<UInt8>, _ start: Int, _ end: Int) throws(HeadFault) -> Int {
        var at = start
        var isHostName = true
        var afterDot = true
        while at < end, head[at] != .ascii(":") {
            let byte = head[at]
            if !ByteSet.hostName.contains(byte) {
                guard ByteSet.regName.contains(byte) || head.isTriplet(at, end) else { throw .badHost }
                isHostName = false
            } else if afterDot, byte == .ascii(".") {
                isHostName = false
            }
            afterDot = byte == .ascii(".")
            at += 1
        }
        guard at > start else { throw .badHost }
        let name = ByteRange(start, afterDot ? at - 1 : at)
        if isHostName, name.count <= 253, Self.isPlain(head, name) { host = name }
        return at
    }

    /// A name whose last label is a number is an IPv4 address in dotted decimal or none, lest anyone reads another address
    /// from it.
    private static func isPlain(_ head: Span<UInt8>, _ name: ByteRange) -> Bool {
        var at = Int(name.end)
        while at > Int(name.start), head[at - 1].isDigit { at -= 1 }
        let isNumber = at < Int(name.end) && (at == Int(name.start) || head[at - 1] == .ascii("."))
        return !isNumber || IPText.isIPv4(head, Int(name.start), Int(name.end))
    }

    /// Reads `":" *DIGIT`; no digits are no port.
    private static func port(_ head: Span<UInt8>, _ start: Int, _ end: Int) throws(HeadFault) -> UInt16? {
        guard head[start] == .ascii(":") else { throw .badHost }
        guard start + 1 < end else { return nil }
        guard let number = head.decimal(ByteRange(start + 1, end)), let port = UInt16(exactly: number), port > 0 else {
            throw .badHost
        }
        return port
    }
}
