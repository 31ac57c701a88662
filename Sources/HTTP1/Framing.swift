/// How the end of a message's body is found (RFC 9112 section 6.3).
public enum BodyFraming: Equatable, Sendable {
    case none
    /// The body has this many bytes.
    case length(UInt64)
    case chunked
    /// The body ends when the connection does; in responses only.
    case untilClose

    /// Whether bytes may follow the head: false for no body and for an empty body.
    @inlinable package var hasBody: Bool { self != .none && self != .length(0) }
}

/// Facts about framing and the connection, collected while the fields of a head are read.
struct FieldFacts {
    let kind: MessageKind
    // Facts from Content-Length and Transfer-Encoding.
    private(set) var contentLength: UInt64?
    private(set) var hasTransferEncoding = false
    private var isChunkedLast = false
    private var hasOtherCoding = false
    // Facts from Connection.
    private(set) var close = false
    private(set) var keepAlive = false
    private(set) var upgrade = false
    /// Whether the sender accepts trailers (RFC 9110 section 10.1.4).
    private(set) var acceptsTrailers = false
    /// The `timeout` of Keep-Alive, in seconds.
    private(set) var keepAliveTimeout: UInt32?

    init(_ kind: MessageKind) { self.kind = kind }

    /// Reads the TE field, in which only `trailers` matters here.
    mutating func noteTE(_ head: Span<UInt8>, _ value: ByteRange) {
        var list = TokenList(value)
        while let coding = list.next(in: head) {
            if PackedText(folding: head, Int(coding.start), Int(coding.end)) == "trailers" { acceptsTrailers = true }
        }
    }

    /// Reads Content-Length, which must be one number. A response may repeat the same number, in a list or in several
    /// fields (RFC 9110 section 8.6).
    mutating func noteContentLength(_ head: Span<UInt8>, _ value: ByteRange) throws(HeadFault) {
        var list = TokenList(value)
        while let item = list.next(in: head) {
            guard let length = head.decimal(item) else { throw .badContentLength }
            guard contentLength == nil || (kind == .response && contentLength == length) else {
                throw .repeatedContentLength
            }
            contentLength = length
        }
    }

    /// Reads Transfer-Encoding: a list of tokens, possibly over several fields, without empty items. Only the last item
    /// may be `chunked`. In a response `identity` is ignored, since it means no coding (RFC 2616 section 3.6).
    mutating func noteTransferEncoding(_ head: Span<UInt8>, _ value: ByteRange) throws(HeadFault) {
        var list = TokenList(value)
        while let coding = list.next(in: head) {
            guard !isChunkedLast, head.isMade(of: .token, Int(coding.start), Int(coding.end)) else {
                throw .badTransferEncoding
            }
            let name = PackedText(folding: head, Int(coding.start), Int(coding.end))
            if kind == .response, name == "identity" { continue }
            hasTransferEncoding = true
            if name == "chunked" { isChunkedLast = true } else { hasOtherCoding = true }
        }
    }

    /// Reads one option of Connection. Returns true when the option may name a field to remove. In a response, an
    /// option that is not a token makes the connection close.
    mutating func noteConnectionOption(_ head: Span<UInt8>, _ option: ByteRange) throws(HeadFault) -> Bool {
        guard head.isMade(of: .token, Int(option.start), Int(option.end)) else {
            guard kind == .response else { throw .badConnection }
            close = true
            return false
        }
        let name = PackedText(folding: head, Int(option.start), Int(option.end))
        switch name {
        case "close": close = true
        case "keep-alive": keepAlive = true
        case "upgrade": upgrade = true
        default: return KnownField.named(name) == .other
        }
        return false
    }

    /// Reads `timeout` from the parameters of Keep-Alive (RFC 2068 section 19.7.1.1). The smallest number counts;
    /// malformed parameters are ignored.
    mutating func noteKeepAlive(_ head: Span<UInt8>, _ value: ByteRange) {
        var list = TokenList(value)
        while let parameter = list.next(in: head) {
            guard let equals = parameter.range.first(where: { head[$0] == .ascii("=") }) else { continue }
            let name = head.trimmingBlanks(parameter.range.lowerBound, equals)
            guard PackedText(folding: head, Int(name.start), Int(name.end)) == "timeout" else { continue }
            let text = head.unquoted(head.trimmingBlanks(equals + 1, parameter.range.upperBound))
            guard let number = head.decimal(text), let seconds = UInt32(exactly: number) else { continue }
            keepAliveTimeout = min(seconds, keepAliveTimeout ?? .max)
        }
    }

    /// Whether the connection stays open after this message (RFC 9112 section 9.3).
    func persists(_ version: HTTPVersion) -> Bool { !close && (version == .http11 || keepAlive) }

    /// The framing that the fields declare; nil when they declare none.
    func framing(_ version: HTTPVersion) throws(HeadFault) -> BodyFraming? {
        guard hasTransferEncoding else { return contentLength.map { .length($0) } }
        guard contentLength == nil else { throw .lengthAndTransferEncoding }
        guard version == .http11 else { throw .transferEncodingInHTTP10 }
        guard !hasOtherCoding else { throw isChunkedLast ? .unsupportedTransferCoding : .badTransferEncoding }
        return isChunkedLast ? .chunked : nil
    }
}

/// Reads the items of a comma-separated list (RFC 9110 section 5.6.1), without the white space around them.
struct TokenList {
    private var at: Int
    private let end: Int

    init(_ value: ByteRange) {
        at = Int(value.start)
        end = Int(value.end)
    }

    /// The next item, which may be empty; nil after the last. An empty list has one empty item.
    mutating func next(in head: Span<UInt8>) -> ByteRange? {
        guard at <= end else { return nil }
        var stop = at
        while stop < end, head[stop] != .ascii(",") { stop += 1 }
        let item = head.trimmingBlanks(at, stop)
        at = stop + 1
        return item
    }
}

extension Span<UInt8> {
    /// The value of a text of one or more digits; nil when the text is not a number that fits 64 bits.
    func decimal(_ text: ByteRange) -> UInt64? {
        guard !text.isEmpty else { return nil }
        var number: UInt64 = 0
        for at in text.range {
            guard self[at].isDigit else { return nil }
            // Eighteen digits always fit, so only further digits need the slower overflow checks.
            guard at &- Int(text.start) >= 18 else {
                number = number &* 10 &+ UInt64(self[at] &- 0x30)
                continue
            }
            let (tens, overflow) = number.multipliedReportingOverflow(by: 10)
            let (sum, carry) = tens.addingReportingOverflow(UInt64(self[at] &- 0x30))
            guard !overflow, !carry else { return nil }
            number = sum
        }
        return number
    }

    /// The range without the double quotes around it, if it has both.
    func unquoted(_ text: ByteRange) -> ByteRange {
        let start = Int(text.start)
        let end = Int(text.end)
        let isQuoted = text.count >= 2 && self[start] == .ascii("\"") && self[end - 1] == .ascii("\"")
        return isQuoted ? ByteRange(start + 1, end - 1) : text
    }
}
