/// The host and port of a Host field or an absolute target (RFC 3986 section 3.2), checked and normalised.
struct Authority {
    /// The host without its port and without one trailing dot; an IPv6 address keeps its brackets. Empty when the text
    /// is well-formed but can't name a host. Then no route matches, so the text never reaches an upstream that could
    /// read it as another host.
    var host = ByteRange()
    /// The port, 1 to 65535; nil when none is given.
    var port: UInt16?

    /// No host and no port, as in HTTP/1.0 without a Host field.
    init() {}

    /// Reads `host [":" port]`. User information (`user@`) is refused.
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

    /// Reads an address in brackets and returns the offset after it. An address of a future IP version (`IPvFuture`)
    /// leaves `host` empty, since no such version is defined.
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

    /// Reads a `reg-name` and returns the offset after it. `host` is set only for a host name: at most 253 bytes, its
    /// labels made of letters, digits, "-" and "_". Only the label after a final dot may be empty.
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

    /// Whether a name is safe to use as a host. If the last label is a number, the whole name must be an IPv4 address
    /// in dotted decimal. Otherwise another program could read the name as an address, as `127.1` for 127.0.0.1.
    private static func isPlain(_ head: Span<UInt8>, _ name: ByteRange) -> Bool {
        var at = Int(name.end)
        while at > Int(name.start), head[at - 1].isDigit { at -= 1 }
        let isNumber = at < Int(name.end) && (at == Int(name.start) || head[at - 1] == .ascii("."))
        return !isNumber || IPText.isIPv4(head, Int(name.start), Int(name.end))
    }

    /// Reads `":" *DIGIT`; nil when there are no digits.
    private static func port(_ head: Span<UInt8>, _ start: Int, _ end: Int) throws(HeadFault) -> UInt16? {
        guard head[start] == .ascii(":") else { throw .badHost }
        guard start + 1 < end else { return nil }
        guard let number = head.decimal(ByteRange(start + 1, end)), let port = UInt16(exactly: number), port > 0 else {
            throw .badHost
        }
        return port
    }
}
