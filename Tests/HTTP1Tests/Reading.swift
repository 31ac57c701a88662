import HTTP1

/// A parsed head with its texts copied, for comparisons.
struct ReadHead: Equatable {
    struct Field: Equatable {
        var name: String
        var value: String
        var id: KnownField
        var isHopByHop: Bool
        var hasUnderscore: Bool
    }

    var first = ""
    var path = ""
    var status = 0
    var version = HTTPVersion.http11
    var host = ""
    var port: UInt16?
    var fields: [Field] = []
    var framing = BodyFraming.none
    var keepAlive = false
    var expectsContinue = false
    var upgrade: String?

    init(_ head: borrowing RequestHead, _ bytes: [UInt8]) {
        first = bytes.text(head.methodName)
        var pathAndQuery = Array(bytes[head.target.pathAndQuery.range])
        if head.target.needsEncoding {
            pathAndQuery = []
            head.target.encode(bytes.span) { pathAndQuery.append($0) }
        }
        path = String(latin1: (head.target.implied.map { [$0] } ?? []) + pathAndQuery)
        version = head.version
        host = bytes.text(head.host)
        port = head.port
        fields = Self.fields(head.fields, bytes)
        framing = head.framing
        keepAlive = head.keepAlive
        expectsContinue = head.expectsContinue
        upgrade = head.upgrade.map { bytes.text($0) }
    }

    init(_ head: borrowing ResponseHead, _ bytes: [UInt8]) {
        first = bytes.text(head.reason)
        status = head.status
        version = head.version
        fields = Self.fields(head.fields, bytes)
        framing = head.framing
        keepAlive = head.keepAlive
    }

    private static func fields(_ fields: borrowing HeaderFields, _ bytes: [UInt8]) -> [Field] {
        var read: [Field] = []
        for index in 0..<fields.count {
            let field = fields[index]
            read.append(
                Field(
                    name: bytes.text(field.name), value: bytes.text(field.value), id: field.id,
                    isHopByHop: field.isHopByHop, hasUnderscore: field.hasUnderscore))
        }
        return read
    }

    /// The names of the fields that are not forwarded.
    var hopByHop: [String] { fields.filter(\.isHopByHop).map(\.name) }
}

/// The result of reading bytes.
enum Reading: Equatable {
    case incomplete
    case head(ReadHead, headBytes: Int)
    case fault(HeadFault)

    var head: ReadHead? { if case .head(let head, _) = self { head } else { nil } }
    var fault: HeadFault? { if case .fault(let fault) = self { fault } else { nil } }
}

/// Scans bytes that arrive `step` at a time.
func scan(
    _ bytes: [UInt8], step: Int = .max, with start: HeadScanner = .request, _ limits: HeadLimits = HeadLimits()
) -> HeadScanner.Progress {
    var scanner = start
    var there = 0
    while true {
        there += min(step, bytes.count - there)
        let progress = scanner.scan(bytes.span.extracting(first: there), limits: limits)
        if progress != .incomplete || there == bytes.count { return progress }
    }
}

/// Scans and reads a request.
func readRequest(_ bytes: [UInt8], step: Int = .max, _ limits: HeadLimits = HeadLimits()) -> Reading {
    switch scan(bytes, step: step, limits) {
    case .incomplete: return .incomplete
    case .malformed(let fault): return .fault(fault)
    case .complete(let headBytes):
        var head = RequestHead()
        let fault = head.parse(bytes.span.extracting(first: headBytes), limits: limits)
        return fault.map { .fault($0) } ?? .head(ReadHead(head, bytes), headBytes: headBytes)
    }
}

/// Scans and reads a request from text.
func readRequest(_ text: String, _ limits: HeadLimits = HeadLimits()) -> Reading { readRequest(text.latin1, limits) }

/// Scans and reads a response.
func readResponse(
    _ bytes: [UInt8], answering method: Method = .get, step: Int = .max, _ limits: HeadLimits = HeadLimits()
) -> Reading {
    switch scan(bytes, step: step, with: .response, limits) {
    case .incomplete: return .incomplete
    case .malformed(let fault): return .fault(fault)
    case .complete(let headBytes):
        var head = ResponseHead()
        let fault = head.parse(bytes.span.extracting(first: headBytes), answering: method, limits: limits)
        return fault.map { .fault($0) } ?? .head(ReadHead(head, bytes), headBytes: headBytes)
    }
}

/// The result of decoding a body.
struct ReadBody: Equatable {
    var data: [UInt8] = []
    var trailers: [UInt8] = []
    /// The offset after the body.
    var end: Int?
    var fault: BodyFault?
    var isComplete = false
}

/// Decodes a body that arrives `step` bytes at a time.
func readBody(
    _ bytes: [UInt8], _ framing: BodyFraming, of kind: MessageKind = .request, step: Int = .max,
    _ limits: BodyLimits = BodyLimits()
) -> ReadBody {
    var decoder = BodyDecoder(framing, of: kind, limits: limits)
    var body = ReadBody()
    var start = 0
    repeat {
        let piece = Array(bytes[start..<start + min(step, bytes.count - start)])
        var at = 0
        reading: while true {
            switch decoder.next(in: piece.span, from: at) {
            case .data(let first, let count):
                body.data += piece[first..<first + count]
                at = first + count
            case .trailers(let first, let count):
                body.trailers += piece[first..<first + count]
                at = first + count
            case .needMore: break reading
            case .end(let offset):
                body.end = start + offset
                body.isComplete = decoder.isComplete
                return body
            case .malformed(let fault):
                // How much of the trailers was read before depends on the pieces.
                body.trailers = []
                body.fault = fault
                return body
            }
        }
        start += piece.count
    } while start < bytes.count
    body.isComplete = decoder.isComplete
    return body
}

extension [UInt8] {
    func text(_ range: ByteRange) -> String { String(latin1: self[range.range]) }
}
