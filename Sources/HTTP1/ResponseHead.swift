/// The head of a response. One serves for many: each `parse` takes the place of what was read before.
public struct ResponseHead: ~Copyable {
    /// The version that the server speaks.
    public private(set) var version = HTTPVersion.http11
    /// The status, 100 to 999; what is above 599 is a server's own and counts as 5xx (RFC 9110 section 15).
    public private(set) var status = 0
    /// The reason phrase; often empty.
    public private(set) var reason = ByteRange()
    /// The fields, all of them.
    public private(set) var fields = HeaderFields(of: .response)
    /// Where the body ends. A Content-Length may be among the fields of a response that has none: after HEAD and with
    /// 304 it is to be passed on, with 1xx and 204 it is not (RFC 9110 section 8.6).
    public private(set) var framing = BodyFraming.none
    /// What Content-Length says, be there a body or not.
    package private(set) var contentLength: UInt64?
    /// Whether the connection may be used again once the body has ended. False also when the framing leaves a doubt.
    public private(set) var keepAlive = false
    /// For how many seconds the server keeps the connection when it is idle: `timeout` of Keep-Alive (RFC 2068 section
    /// 19.7.1.1), the smallest if there are several. A hint; nil if there is none that can be read.
    package private(set) var keepAliveTimeout: UInt32?

    /// Whether another head follows this one: any 1xx but 101 (RFC 9110 section 15.2).
    @inlinable public var isInterim: Bool { status < 200 && status != 101 }
    /// Whether the connection changes its protocol after this head (RFC 9110 section 15.2.2).
    @inlinable public var isSwitchingProtocols: Bool { status == 101 }

    /// An empty head with room for usual ones.
    public init() {}

    /// Reads a whole head, for which `HeadScanner` has found the end, of an answer to a request with `method`. After a
    /// fault nothing in here has a meaning.
    public mutating func parse(_ head: Span<UInt8>, answering method: Method, limits: HeadLimits) -> HeadFault? {
        do throws(HeadFault) {
            guard head.count <= limits.maxHeadBytes else { throw .headTooLarge }
            let fieldsStart = try readLine(head)
            try fields.parse(head, from: fieldsStart, limits)
            let given = try fields.facts.framing(version)
            keepAlive = fields.facts.persists(version)
            contentLength = fields.facts.contentLength
            keepAliveTimeout = fields.facts.keepAliveTimeout
            // RFC 9112 section 6.3, items 1, 3 to 5, 8.
            switch status {
            case ..<200, 204:
                framing = .none
                // Nothing may follow, but a server that announces a body may well send it.
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

    /// Reads the status line (RFC 9112 section 4) and gives the offset after it. The space after the status may be
    /// missing when there is no reason.
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
