/// What a request asks for (RFC 9112 section 3.2), checked and brought to the form that goes upstream.
public struct RequestTarget: Sendable {
    /// How a target can be written.
    public enum Form: UInt8, Sendable {
        /// A path with or without a query.
        case origin
        /// A whole URI of scheme http.
        case absoluteHTTP
        /// A whole URI of scheme https.
        case absoluteHTTPS
        /// The server as such: `OPTIONS *`.
        case asterisk
    }

    /// How it is written.
    public internal(set) var form = Form.origin
    /// All of it, as sent.
    public internal(set) var text = ByteRange()
    /// Path and query as they go upstream; after `implied`, if there is one.
    public internal(set) var pathAndQuery = ByteRange()
    /// What the sender left out before `pathAndQuery`: "/" or "*" (as an ASCII byte), for a URI without a path.
    public internal(set) var implied: UInt8?

    /// The authority within an absolute target.
    private(set) var authority: ByteRange?

    init() {}

    /// Reads the target between two offsets; no control byte or space is in it.
    init(_ head: Span<UInt8>, _ start: Int, _ end: Int, _ method: Method) throws(HeadFault) {
        guard start < end else { throw .badTarget }
        text = ByteRange(start, end)
        pathAndQuery = text
        if head[start] == .ascii("/") {
            try Self.checkPath(head, start, end)
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
            // RFC 9112 section 3.2.4: this is how OPTIONS asks a proxy about a whole server.
            implied = method == .options ? .ascii("*") : .ascii("/")
        } else if head[at] == .ascii("?") {
            implied = .ascii("/")
        }
        try Self.checkPath(head, at, end)
    }

    /// Checks `path [ "?" query ]`. In a path "%" begins two hexadecimal digits that are not 00; a query is not
    /// looked into, since browsers send a "%" in it as it is.
    private static func checkPath(_ head: Span<UInt8>, _ start: Int, _ end: Int) throws(HeadFault) {
        var at = start
        while at < end {
            let byte = head[at]
            if ByteSet.path.contains(byte) {
                at &+= 1
            } else if byte == .ascii("%") {
                guard at + 2 < end, let high = head[at + 1].hexValue, let low = head[at + 2].hexValue, high | low != 0
                else { throw .badTarget }
                at &+= 3
            } else if byte == .ascii("?") {
                guard at + 1 == end || head.isMade(of: .query, at + 1, end) else { throw .badTarget }
                return
            } else {
                throw .badTarget
            }
        }
    }
}
