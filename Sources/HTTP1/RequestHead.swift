// HTTP1: parses HTTP/1.1 messages (RFC 9112) strictly and without I/O.
//
// `HeadScanner` finds the end of a head while its bytes arrive. `RequestHead` and `ResponseHead` read a complete head,
// and `BodyDecoder` finds the body. `WebSocketFrames` follows the frames after an upgrade. Nothing is copied: results
// are ranges of the given bytes. A message that two implementations could read differently is refused with a
// `HeadFault` or `BodyFault`. After the first few messages parsing allocates no memory.

/// The head of a request. One value is used for many requests: each `parse` replaces the previous result.
public struct RequestHead: ~Copyable {
    /// The method; `methodName` is its text.
    public private(set) var method = Method.get
    /// The method as sent.
    public private(set) var methodName = ByteRange()
    /// The target, such as a path and query.
    public private(set) var target = RequestTarget()
    /// The version of the request line. Each 1.x from 1.1 on counts as 1.1 (RFC 9110 section 2.5).
    public private(set) var version = HTTPVersion.http11
    /// The host of the absolute target, else of the Host field: a name without one trailing dot, an IPv4 address, or an
    /// IPv6 address in brackets. Its case is kept, so comparisons must ignore case. Empty for HTTP/1.0 without Host,
    /// and for names that can't be a host, such as `a,b`, `a%2eb` or `a..b`; no site has an empty name.
    public private(set) var host = ByteRange()
    /// The port given with the host, 1 to 65535; nil if none is given.
    public private(set) var port: UInt16?
    /// All fields. The gateway forwards those that are not `isHopByHop`, but writes Host, Content-Length and the
    /// forwarding fields itself.
    public private(set) var fields = HeaderFields(of: .request)
    /// How the body ends; never `.untilClose`.
    public private(set) var framing = BodyFraming.none
    /// Whether the client allows another request on the connection (RFC 9112 section 9.3).
    public private(set) var keepAlive = false
    /// Whether the client accepts trailers behind the response's body (RFC 9110 section 10.1.4).
    public var acceptsTrailers: Bool { fields.facts.acceptsTrailers }
    /// Whether the client waits for status 100 before it sends the body (RFC 9110 section 10.1.1).
    public private(set) var expectsContinue = false
    /// The value of Upgrade: the protocols that the client offers to switch to. Nil unless the version is 1.1, the head
    /// has exactly one Upgrade field, and Connection names it (RFC 9110 section 7.8).
    public private(set) var upgrade: ByteRange?

    /// An empty head with preallocated room for a usual number of fields.
    public init() {}

    /// Parses a complete head, whose end `HeadScanner` has found. Returns nil if the head is valid. After a fault all
    /// properties are meaningless.
    public mutating func parse(_ head: Span<UInt8>, limits: HeadLimits) -> HeadFault? {
        do throws(HeadFault) {
            guard head.count <= limits.maxHeadBytes else { throw .headTooLarge }
            let fieldsStart = try readLine(head, limits)
            try fields.parse(head, from: fieldsStart, limits)
            let expectsOther = try readFields(head)
            let given = try fields.facts.framing(version)
            guard !expectsOther else { throw .unmetExpectation }
            framing = given ?? .none
            keepAlive = fields.facts.persists(version)
            if framing == .none || framing == .length(0) { expectsContinue = false }
            return nil
        } catch {
            return error
        }
    }

    /// Reads the request line (RFC 9112 section 3) and returns the offset after it.
    private mutating func readLine(_ head: Span<UInt8>, _ limits: HeadLimits) throws(HeadFault) -> Int {
        let start = head.firstLineStart
        let methodEnd = head.firstControl(or: .space, from: start)
        guard methodEnd < head.count, head[methodEnd] == .space else { throw .badRequestLine }
        method = try Method.parse(head, start, methodEnd)
        methodName = ByteRange(start, methodEnd)

        let targetStart = methodEnd + 1
        let targetEnd = head.firstControl(or: .space, from: targetStart)
        guard targetEnd - targetStart <= limits.maxTargetBytes else { throw .targetTooLong }
        guard targetEnd < head.count, head[targetEnd] == .space else { throw .badRequestLine }

        version = try HTTPVersion.parse(head, at: targetEnd + 1)
        guard method != .connect else { throw .connectMethod }
        target = try RequestTarget(head, targetStart, targetEnd, method)
        let lineStop = targetEnd + 9
        guard lineStop < head.count, head[lineStop] == .cr else { throw .badRequestLine }
        return try head.lineEnd(lineStop)
    }

    /// Reads the fields that only requests have. Returns true if Expect asks for anything but 100-continue.
    private mutating func readFields(_ head: Span<UInt8>) throws(HeadFault) -> Bool {
        var hostField: ByteRange?
        var upgrades = 0
        var expectsOther = false
        upgrade = nil
        expectsContinue = false
        for index in 0..<fields.count {
            let field = fields[index]
            switch field.id {
            case .host:
                guard hostField == nil else { throw .repeatedHost }
                hostField = field.value
            case .upgrade:
                upgrades += 1
                upgrade = field.value
            case .expect:
                var list = TokenList(field.value)
                while let item = list.next(in: head) {
                    if item.isEmpty { continue }
                    let isKnown = PackedText(folding: head, Int(item.start), Int(item.end)) == "100-continue"
                    if isKnown { expectsContinue = version == .http11 } else { expectsOther = true }
                }
            default: break
            }
        }
        let offers = upgrades == 1 && fields.facts.upgrade && version == .http11 && upgrade?.isEmpty == false
        if !offers { upgrade = nil }
        try readHost(head, hostField)
        return expectsOther
    }

    /// Sets `host` and `port`. The authority of an absolute target overrides the Host field (RFC 9112 section 3.2.2).
    private mutating func readHost(_ head: Span<UInt8>, _ field: ByteRange?) throws(HeadFault) {
        guard field != nil || version == .http10 else { throw .missingHost }
        var authority = Authority()
        if let field { authority = try Authority(head, field) }
        if let absolute = target.authority {
            authority = try Authority(head, absolute)
        }
        host = authority.host
        port = authority.port
    }
}
