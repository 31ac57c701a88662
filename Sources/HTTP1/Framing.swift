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

    /// Whether bytes may follow the head: false for no body and for one of no bytes.
    @inlinable package var hasBody: Bool { self != .none && self != .length(0) }
}

/// What the fields of a head say about framing and the connection, gathered while they are read.
struct FieldFacts {
    let kind: MessageKind
    // Of Content-Length and Transfer-Encoding.
    private(set) var contentLength: UInt64?
    private(set) var hasTransferEncoding = false
    private var isChunkedLast = false
    private var hasOtherCoding = false
    // Of Connection.
    private(set) var close = false
    private(set) var keepAlive = false
    private(set) var upgrade = false
    /// Seconds, of Keep-Alive.
    private(set) var keepAliveTimeout: UInt32?

    init(_ kind: MessageKind) { self.kind = kind }

    /// Content-Length is one number. A response may repeat it, in a list or in fields (RFC 9110 section 8.6).
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

    /// Transfer-Encoding is a list of tokens over all its fields, without empty items; `chunked` may only be the last. In a
    /// response `identity` is no coding (RFC 2616 section 3.6).
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

    /// Takes one option of Connection; true when it may name a field that is to be removed. Of a response, one that is no
    /// token ends the connection.
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

    /// Takes `timeout` from a list of parameters (RFC 2068 section 19.7.1.1); the smallest counts, odd ones are ignored.
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

    /// Whether the connection goes on after this message (RFC 9112 section 9.3).
    func persists(_ version: HTTPVersion) -> Bool { !close && (version == .http11 || keepAlive) }

    /// The framing that the fields give, or nil when they give none.
    func framing(_ version: HTTPVersion) throws(HeadFault) -> BodyFraming? {
        guard hasTransferEncoding else { return contentLength.map { .length($0) } }
        guard contentLength == nil else { throw .lengthAndTransferEncoding }
        guard version == .http11 else { throw .transferEncodingInHTTP10 }
        guard !hasOtherCoding else { throw isChunkedLast ? .unsupportedTransferCoding : .badTransferEncoding }
        return isChunkedLast ? .chunked : nil
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

extension Span<UInt8> {
    /// The number of one or more digits that fits 64 bits, or nil.
    func decimal(_ text: ByteRange) -> UInt64? {
        guard !text.isEmpty else { return nil }
        var number: UInt64 = 0
        for at in text.range {
            guard self[at].isDigit else { return nil }
            // Eighteen digits fit; more of them are nearly always zeros.
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

    /// A stretch without the double quotes around it, if there are both.
    func unquoted(_ text: ByteRange) -> ByteRange {
        let start = Int(text.start)
        let end = Int(text.end)
        let isQuoted = text.count >= 2 && self[start] == .ascii("\"") && self[end - 1] == .ascii("\"")
        return isQuoted ? ByteRange(start + 1, end - 1) : text
    }
}
