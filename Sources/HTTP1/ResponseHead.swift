/// The head of a response. One value is used for many responses: each `parse` replaces the previous result.
public struct ResponseHead: ~Copyable {
    /// The version of the status line. Each 1.x from 1.1 on counts as 1.1 (RFC 9110 section 2.5).
    public private(set) var version = HTTPVersion.http11
    /// The status, 100 to 999. A server may define statuses above 599; they are treated as 5xx (RFC 9110 section 15).
    public private(set) var status = 0
    /// The reason phrase; often empty.
    public private(set) var reason = ByteRange()
    /// All header fields of the response, hop-by-hop ones included.
    public private(set) var fields = HeaderFields(of: .response)
    /// How the body ends. A response without a body may still have Content-Length: the gateway forwards the field after
    /// HEAD and with 304, and drops it with 1xx and 204 (RFC 9110 section 8.6).
    public private(set) var framing = BodyFraming.none
    /// The value of Content-Length, whether or not the response has a body; nil if the field is missing.
    package private(set) var contentLength: UInt64?
    /// Whether the connection may be reused after the body. False also when the framing is in doubt.
    public private(set) var keepAlive = false
    /// How many seconds the server keeps an idle connection open: the smallest `timeout` of Keep-Alive (RFC 2068
    /// section 19.7.1.1). The number is only a hint; nil if no readable timeout is given.
    package private(set) var keepAliveTimeout: UInt32?

    /// Whether another head follows this head: any 1xx status except 101 (RFC 9110 section 15.2).
    @inlinable public var isInterim: Bool { status < 200 && status != 101 }
    /// Whether the connection switches to another protocol after this head (RFC 9110 section 15.2.2).
    @inlinable public var isSwitchingProtocols: Bool { status == 101 }

    /// An empty head with preallocated room for a usual number of fields.
    public init() {}

    /// Parses a complete head, whose end `HeadScanner` has found, of the response to a request with `method`. Returns
    /// nil if the head is valid. After a fault all properties are meaningless.
    public mutating func parse(_ head: Span<UInt8>, answering method: Method, limits: HeadLimits) -> HeadFault? {
        do throws(HeadFault) {
            guard head.count <= limits.maxHeadBytes else { throw .headTooLarge }
            let fieldsStart = try readLine(head)
            try fields.parse(head, from: fieldsStart, limits)
            let given = try fields.facts.framing(version)
            keepAlive = fields.facts.persists(version)
            contentLength = fields.facts.contentLength
            keepAliveTimeout = fields.facts.keepAliveTimeout
            // These are the rules 1, 3 to 6 and 8 of RFC 9112 section 6.3.
            switch status {
            case ..<200, 204:
                framing = .none
                // A body is not allowed here. A server that announces a body may send it nevertheless, so the
                // connection is not reused.
                if let given, given != .length(0) { keepAlive = false }
            case 304: framing = .none
            default:
                framing = method == .head ? .none : given ?? .untilClose
                if framing == .untilClose { keepAlive = false }
            }
            return nil
        } catch {
            return error
        }
    }

    /// Reads the status line (RFC 9112 section 4) and returns the offset after it. The space after the status may be
    /// missing when the reason phrase is empty.
    private mutating func readLine(_ head: Span<UInt8>) throws(HeadFault) -> Int {
        let start = head.firstLineStart
        version = try HTTPVersion.parse(head, at: start)
        let statusEnd = start + 12
        guard head.count > statusEnd, head[start + 8] == .space else { throw .badStatusLine }
        status = 0
        for at in start + 9..<statusEnd {
            guard head[at].isDigit else { throw .badStatusLine }
            status = status * 10 + Int(head[at] &- 0x30)
        }
        guard status >= 100 else { throw .badStatusLine }
        var stop = statusEnd
        reason = ByteRange()
        if head[statusEnd] == .space {
            stop = head.firstControl(from: statusEnd + 1)
            while stop < head.count, head[stop] == .tab { stop = head.firstControl(from: stop + 1) }
            reason = ByteRange(statusEnd + 1, stop)
        }
        guard stop < head.count, head[stop] == .cr else { throw .badStatusLine }
        return try head.lineEnd(stop)
    }
}
