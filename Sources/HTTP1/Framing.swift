/// Where a message's body ends (RFC 9112 section 6.3).
public enum BodyFraming: Equatable, Sendable {
    /// There is no body.
    case none
    /// The body has this many bytes.
    case length(UInt64)
    /// The body is chunked.
    case chunked
    /// The body ends with the connection; responses only.
    case untilClose
}

/// What the fields of a head say about framing and the connection, gathered while they are read.
struct FieldFacts {
    // Of Content-Length and Transfer-Encoding.
    private(set) var contentLength: UInt64?
    private(set) var hasTransferEncoding = false
    private var isChunkedLast = false
    private var hasOtherCoding = false
    // Of Connection.
    private(set) var close = false
    private(set) var keepAlive = false
    private(set) var upgrade = false

    mutating func noteContentLength(_ head: Span<UInt8>, _ value: ByteRange) throws(HeadFault) {
        guard contentLength == nil else { throw .repeatedContentLength }
        guard !value.isEmpty else { throw .badContentLength }
        var length: UInt64 = 0
        for at in value.range {
            let byte = head[at]
            guard byte.isDigit else { throw .badContentLength }
            let (tens, overflow) = length.multipliedReportingOverflow(by: 10)
            let (sum, carry) = tens.addingReportingOverflow(UInt64(byte &- 0x30))
            guard !overflow, !carry else { throw .badContentLength }
            length = sum
        }
        contentLength = length
    }

    /// Transfer-Encoding is a list of tokens over all its fields, without empty items; `chunked` may only be the last.
    mutating func noteTransferEncoding(_ head: Span<UInt8>, _ value: ByteRange) throws(HeadFault) {
        hasTransferEncoding = true
        var list = TokenList(value)
        while let coding = list.next(in: head) {
            guard !isChunkedLast, head.isMade(of: .token, Int(coding.start), Int(coding.end)) else {
                throw .badTransferEncoding
            }
            if PackedText(folding: head, Int(coding.start), Int(coding.end)) == "chunked" {
                isChunkedLast = true
            } else {
                hasOtherCoding = true
            }
        }
    }

    /// Takes one option of Connection; true when it may name a field that is to be removed.
    mutating func noteConnectionOption(_ head: Span<UInt8>, _ option: ByteRange) throws(HeadFault) -> Bool {
        guard head.isMade(of: .token, Int(option.start), Int(option.end)) else { throw .badConnection }
        let name = PackedText(folding: head, Int(option.start), Int(option.end))
        switch name {
        case "close": close = true
        case "keep-alive": keepAlive = true
        case "upgrade": upgrade = true
        default: return KnownField.named(name) == .other
        }
        return false
    }

    /// Whether the connection goes on after this message (RFC 9112 section 9.3).
    func persists(_ version: HTTPVersion) -> Bool { !close && (version == .http11 || keepAlive) }

    /// The framing that the fields give, or nil when they give none.
    func framing(_ version: HTTPVersion) throws(HeadFault) -> BodyFraming? {
        guard hasTransferEncoding else { return contentLength.map { .length($0) } }
        guard contentLength == nil else { throw .lengthAndTransferEncoding }
        guard version == .http11 else { throw .transferEncodingInHTTP10 }
        guard isChunkedLast else { throw .badTransferEncoding }
        guard !hasOtherCoding else { throw .unsupportedTransferCoding }
        return .chunked
    }
}

/// The items of a comma-separated list (RFC 9110 section 5.6.1), without the white space around them.
struct TokenList {
    private var at: Int
    private let end: Int

    init(_ value: ByteRange) {
        at = Int(value.start)
        end = Int(value.end)
    }

    /// The next item, which may be empty; an empty list has one empty item.
    mutating func next(in head: Span<UInt8>) -> ByteRange? {
        guard at <= end else { return nil }
        var stop = at
        while stop < end, head[stop] != .ascii(",") { stop += 1 }
        let item = head.trimmingBlanks(at, stop)
        at = stop + 1
        return item
    }
}
