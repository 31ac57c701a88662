/// Writes a request's head in the form of HTTP/1.1, field by field, as HTTP/2 brings them. So one parser decides for both
/// versions which requests are valid.
///
/// nghttp2 has checked before that names are lower-case tokens, that values have no control characters, that pseudo-fields
/// come first and once each, and that there are no connection fields (RFC 9113 section 8.2.2).
struct RequestText {
    enum Outcome: Equatable {
        case complete
        /// The request breaks a rule of RFC 9113 section 8.3.1.
        case malformed
        /// The head has too many bytes or fields. The rest of the head was ignored.
        case tooLarge
    }

    private enum PseudoField: Int {
        case method, path, authority, scheme
        /// The protocol that an extended CONNECT asks for (RFC 8441 section 4).
        case `protocol`
    }

    private var size: HeadSize
    /// The values of the pseudo-fields and of `host`, one after another.
    private var values: [UInt8] = []
    private var pseudo = InlineArray<5, Range<Int>>(repeating: 0..<0)
    private var host: Range<Int>?
    /// The lines of the other fields, but for Cookie.
    private var lines: [UInt8] = []
    private var cookie: [UInt8] = []
    private var isMalformed = false
    private var hasLength = false

    init(limits: HTTP2Limits) { size = HeadSize(limits: limits) }

    /// Forgets the head. Its memory is kept for the next one.
    mutating func clear() {
        values.removeAll(keepingCapacity: true)
        pseudo = InlineArray(repeating: 0..<0)
        lines.removeAll(keepingCapacity: true)
        cookie.removeAll(keepingCapacity: true)
        size.clear()
        host = nil
        (isMalformed, hasLength) = (false, false)
    }

    mutating func add(name: Span<UInt8>, value: Span<UInt8>) {
        size.add(name: name, value: value)
        guard !size.isTooLarge else { return }
        let value = value.trimmed
        if name.count > 1, name[0] == UInt8(ascii: ":") { return addPseudo(name, value) }
        if name.equals("cookie") {
            // HTTP/2 may split the field (RFC 9113 section 8.2.3).
            if !cookie.isEmpty { cookie.append("; ") }
            return cookie.append(value)
        }
        if name.equals("host") {
            isMalformed = isMalformed || host != nil
            return host = keep(value)
        }
        // The field belongs to the connection on which HTTP/1.1 changes to HTTP/2 (RFC 9113 section 3.1).
        if name.equals("http2-settings") { return }
        // The gateway makes a key of its own for an extended CONNECT, and needs none otherwise.
        if name.equals("sec-websocket-key") { return }
        if name.equals("content-length") { hasLength = true }
        lines.appendLine(name, value)
    }

    private mutating func addPseudo(_ name: Span<UInt8>, _ value: Span<UInt8>) {
        for (field, text) in [
            (PseudoField.method, ":method" as StaticString), (.path, ":path"), (.authority, ":authority"),
            (.scheme, ":scheme"), (.protocol, ":protocol"),
        ] where name.equals(text) {
            return pseudo[field.rawValue] = keep(value)
        }
        isMalformed = true
    }

    private mutating func keep(_ value: Span<UInt8>) -> Range<Int> {
        let start = values.count
        values.append(value)
        return start..<values.count
    }

    /// Whether the request is an extended CONNECT (RFC 8441), which asks for another protocol on the stream.
    var isConnect: Bool { !pseudo[PseudoField.protocol.rawValue].isEmpty }

    var isHEAD: Bool { value(.method).span.equals("HEAD") }

    private func value(_ field: PseudoField) -> ArraySlice<UInt8> { values[pseudo[field.rawValue]] }

    /// Appends the whole head to `text`. An extended CONNECT becomes a GET that asks for an upgrade.
    ///
    /// - Parameters:
    ///   - scheme: The scheme that requests on this connection must have.
    ///   - hasBody: Whether a body follows. If the head has no length, it then says `Transfer-Encoding: chunked`, the form
    ///     in which HTTP/1.1 has bodies without a length. The body itself has no chunks.
    func finish(scheme: StaticString, hasBody: Bool, into text: inout [UInt8]) -> Outcome {
        guard !size.isTooLarge else { return .tooLarge }
        let named = host.map { values[$0] }
        let authority = value(.authority)
        guard !isMalformed, value(.scheme).span.equals(scheme), !authority.contains(UInt8(ascii: "@")),
            !isConnect || !hasLength,
            authority.isEmpty || named.map({ $0.equalsIgnoringCase(authority) }) ?? true
        else { return .malformed }
        if isConnect { text.append("GET") } else { text += value(.method) }
        text.append(" ")
        text += value(.path)
        text.append(" HTTP/1.1\r\nHost: ")
        text += authority.isEmpty ? named ?? [] : authority
        text.append("\r\n")
        text += lines
        if !cookie.isEmpty {
            text.append("Cookie: ")
            text += cookie
            text.append("\r\n")
        }
        if isConnect {
            text.append("Connection: upgrade\r\nUpgrade: ")
            text += value(.protocol)
            text.append("\r\n")
        }
        if hasBody, !hasLength, !isConnect { text.append("Transfer-Encoding: chunked\r\n") }
        text.append("\r\n")
        return .complete
    }
}
