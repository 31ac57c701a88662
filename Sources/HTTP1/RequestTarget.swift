/// What a request asks for (RFC 9112 section 3.2), checked and brought to the form that goes upstream.
///
/// Clients send more in paths and queries than RFC 3986 has in a URI: `"<>\^`{|}` and bytes beyond ASCII. They go on
/// percent-encoded, as the protocol requires (RFC 9110 section 7.7), so that every server reads the same. "[" and "]" are
/// no part of a URI's path or query either, but stay as they came: clients send them so in names of parameters, and servers
/// expect it. So does a "%" in a query that begins no triplet: nobody can tell whether it stands for itself. RFC 9112
/// section 3.2 would rather have such targets refused, since one could pass a filter that reads it otherwise; nginx, HAProxy
/// and Caddy take them.
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
    /// Path and query as sent. They go upstream as they are, or as `encode` gives them if they need it; after `implied`,
    /// if there is one.
    public internal(set) var pathAndQuery = ByteRange()
    /// Whether in `pathAndQuery` something stands that no URI may hold.
    public private(set) var needsEncoding = false
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
            // RFC 9112 section 3.2.4: this is how OPTIONS asks a proxy about a whole server.
            implied = method == .options ? .ascii("*") : .ascii("/")
        } else if head[at] == .ascii("?") {
            implied = .ascii("/")
        }
        try checkPath(head, at, end)
    }

    /// Gives the bytes of `pathAndQuery` one by one, percent-encoded (RFC 3986 section 2.1) where no URI may hold them.
    package func encode(_ head: Span<UInt8>, _ take: (UInt8) -> Void) {
        for at in pathAndQuery.range {
            let byte = head[at]
            if ByteSet.query.contains(byte) {
                take(byte)
            } else {
                take(.ascii("%"))
                take(.hexDigit(byte >> 4))
                take(.hexDigit(byte & 0xF))
            }
        }
    }

    /// Checks `path [ "?" query ]`. In a path "%" begins two hexadecimal digits that are not 00.
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

    /// Checks what is not made of a URI's bytes alone. A fragment is the client's own affair and never sent.
    private mutating func checkOdd(_ head: Span<UInt8>, _ start: Int, _ end: Int) throws(HeadFault) {
        for at in start..<end where !ByteSet.query.contains(head[at]) {
            guard head[at] > .space, head[at] != 0x7F, head[at] != .ascii("#") else { throw .badTarget }
            needsEncoding = true
        }
    }
}
