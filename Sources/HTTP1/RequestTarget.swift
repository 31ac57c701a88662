/// The target of a request (RFC 9112 section 3.2), checked and prepared for the upstream.
///
/// Clients send bytes in paths and queries that RFC 3986 does not allow in a URI: `"<>\^`{|}` and bytes beyond ASCII.
/// The gateway passes these on percent-encoded (RFC 9110 section 7.7 requires a valid URI), so that all servers read
/// the same target. "[" and "]" are not allowed in a path or query either, but stay unchanged: clients use them in
/// parameter names, and servers expect them. A "%" in a query that no two hexadecimal digits follow also stays, since
/// the gateway can't tell whether the client means the character "%". RFC 9112 section 3.2 recommends refusing such
/// targets, because a filter may read them differently from the server; nginx, HAProxy and Caddy accept them.
public struct RequestTarget: Sendable {
    /// The form of a target (RFC 9112 section 3.2).
    public enum Form: UInt8, Sendable {
        /// A path with or without a query.
        case origin
        /// A whole URI of scheme http.
        case absoluteHTTP
        /// A whole URI of scheme https.
        case absoluteHTTPS
        /// The server as a whole: `OPTIONS *`.
        case asterisk
    }

    /// The form that the client used.
    public internal(set) var form = Form.origin
    /// The whole target as sent.
    public internal(set) var text = ByteRange()
    /// The path and query as sent. The upstream receives `implied`, if it is set, and then this text. If
    /// `needsEncoding` is true, the text must be written by `encode`.
    public internal(set) var pathAndQuery = ByteRange()
    /// Whether `pathAndQuery` contains bytes that the gateway percent-encodes.
    public private(set) var needsEncoding = false
    /// The byte to send before `pathAndQuery` when the target has no path: "/" or "*" in ASCII.
    public internal(set) var implied: UInt8?

    /// The authority of an absolute target; nil for the other forms.
    private(set) var authority: ByteRange?

    init() {}

    /// Reads the target between two offsets. The caller has checked that it contains no control byte and no space.
    init(_ head: Span<UInt8>, _ start: Int, _ end: Int, _ method: Method) throws(HeadFault) {
        guard start < end else { throw .badTarget }
        text = ByteRange(start, end)
        pathAndQuery = text
        if head[start] == .ascii("/") {
            try checkPath(head, start, end)
        } else if text.count == 1, head[start] == .ascii("*") {
            guard method == .options else { throw .badTarget }
            form = .asterisk
        } else {
            try readAbsolute(head, start, end, method)
        }
    }

    private mutating func readAbsolute(
        _ head: Span<UInt8>, _ start: Int, _ end: Int, _ method: Method
    ) throws(HeadFault) {
        let authorityStart: Int
        if end - start > 7, PackedText(folding: head, start, start + 7) == "http://" {
            form = .absoluteHTTP
            authorityStart = start + 7
        } else if end - start > 8, PackedText(folding: head, start, start + 8) == "https://" {
            form = .absoluteHTTPS
            authorityStart = start + 8
        } else {
            throw .badTarget
        }
        var at = authorityStart
        while at < end, head[at] != .ascii("/"), head[at] != .ascii("?") { at += 1 }
        authority = ByteRange(authorityStart, at)
        pathAndQuery = ByteRange(at, end)
        if at == end {
            // RFC 9112 section 3.2.4: a client sends such a target to ask a proxy about the whole server.
            implied = method == .options ? .ascii("*") : .ascii("/")
        } else if head[at] == .ascii("?") {
            implied = .ascii("/")
        }
        try checkPath(head, at, end)
    }

    /// Passes each byte of `pathAndQuery` to the closure. Bytes that are not in `ByteSet.query` are percent-encoded
    /// (RFC 3986 section 2.1).
    package func encode(_ head: Span<UInt8>, _ write: (UInt8) -> Void) {
        for at in pathAndQuery.range {
            let byte = head[at]
            if ByteSet.query.contains(byte) {
                write(byte)
            } else {
                write(.ascii("%"))
                write(.hexDigit(byte >> 4))
                write(.hexDigit(byte & 0xF))
            }
        }
    }

    /// Checks `path [ "?" query ]`. In a path "%" must begin a triplet other than `%00`.
    private mutating func checkPath(_ head: Span<UInt8>, _ start: Int, _ end: Int) throws(HeadFault) {
        var at = start
        while at < end {
            let byte = head[at]
            if ByteSet.path.contains(byte) {
                at &+= 1
            } else if byte == .ascii("%") {
                guard head.isTriplet(at, end), head[at + 1] != .ascii("0") || head[at + 2] != .ascii("0") else {
                    throw .badTarget
                }
                at &+= 3
            } else if byte == .ascii("?") {
                if !head.isMade(of: .query, at + 1, end) { try checkOdd(head, at + 1, end) }
                return
            } else {
                try checkOdd(head, at, at + 1)
                at &+= 1
            }
        }
    }

    /// Checks bytes that are not in `ByteSet.query`. "#" is refused: a fragment stays with the client and is never
    /// sent.
    private mutating func checkOdd(_ head: Span<UInt8>, _ start: Int, _ end: Int) throws(HeadFault) {
        for at in start..<end where !ByteSet.query.contains(head[at]) {
            guard head[at] > .space, head[at] != 0x7F, head[at] != .ascii("#") else { throw .badTarget }
            needsEncoding = true
        }
    }
}
