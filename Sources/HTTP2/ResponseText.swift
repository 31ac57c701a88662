/// Writes a response's head in the form of HTTP/1.1, field by field, as HTTP/2 brings them (see `RequestText`).
///
/// nghttp2 has checked before that the status has three digits and is not 101, and that there are no connection fields.
struct ResponseText {
    enum Outcome: Equatable {
        case final
        /// Another head follows (RFC 9110 section 15.2).
        case interim
        /// The head has too many bytes or fields. The rest of the head was ignored.
        case tooLarge
    }

    private var size: HeadSize
    private var status: [UInt8] = []
    private var lines: [UInt8] = []
    private var hasLength = false

    init(limits: HTTP2Limits) { size = HeadSize(limits: limits) }

    /// Forgets the head. Its memory is kept for the next one.
    mutating func clear() {
        status.removeAll(keepingCapacity: true)
        lines.removeAll(keepingCapacity: true)
        size.clear()
        hasLength = false
    }

    mutating func add(name: Span<UInt8>, value: Span<UInt8>) {
        size.add(name: name, value: value)
        guard !size.isTooLarge else { return }
        let value = value.trimmed
        if name.equals(":status") { return status.append(value) }
        if name.equals("content-length") { hasLength = true }
        lines.appendLine(name, value)
    }

    /// Appends the whole head to `text`.
    ///
    /// - Parameter isEmpty: The response has no body, and the request's method is not HEAD. If the head has no length, it
    ///   then says `Content-Length: 0`, the form in which HTTP/1.1 says so.
    func finish(isEmpty: Bool, into text: inout [UInt8]) -> Outcome {
        guard !size.isTooLarge else { return .tooLarge }
        text.append("HTTP/1.1 ")
        text += status
        text.append(" \r\n")
        text += lines
        let isInterim = status.first == UInt8(ascii: "1")
        let isBodiless = status.elementsEqual("204".utf8) || status.elementsEqual("304".utf8)
        if isEmpty, !hasLength, !isInterim, !isBodiless { text.append("content-length: 0\r\n") }
        text.append("\r\n")
        return isInterim ? .interim : .final
    }
}
