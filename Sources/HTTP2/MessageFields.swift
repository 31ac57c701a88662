import CNghttp2
import HTTP1

/// The fields of a message in the form that nghttp2 takes. They are read from a head in the form of HTTP/1.1. The
/// gateway has written this head itself, so its syntax is not checked.
@safe
struct MessageFields {
    private var names: [UInt8] = []
    private var values: [UInt8] = []
    private var places: [(name: Range<Int>, value: Range<Int>)] = []
    private var vectors: [nghttp2_nv] = unsafe []
    /// Whether the head says that the body has no bytes.
    private var hasNoBytes = false

    /// Fields that belong to a connection of HTTP/1.1 (RFC 9113 section 8.2.2, RFC 8441 section 5).
    private static let connectionFields: [StaticString] = [
        "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "sec-websocket-accept",
    ]

    /// Fields whose values the compressor's table must not keep, since they are secret (RFC 7541 section 7.1.3).
    private static let secretFields: [StaticString] = ["set-cookie", "cookie", "authorization"]

    /// What the head of a response says.
    struct ResponseHead {
        /// The length of the head in bytes.
        let count: Int
        let isInterim: Bool
        /// False if the status or the length excludes a body.
        let hasBody: Bool
    }

    private mutating func clear() {
        names.removeAll(keepingCapacity: true)
        values.removeAll(keepingCapacity: true)
        places.removeAll(keepingCapacity: true)
        hasNoBytes = false
    }

    /// Reads the head of a request: a request line, the Host field, other field lines and an empty line.
    ///
    /// - Parameter scheme: "https" over TLS, else "http".
    mutating func readRequest(_ head: Span<UInt8>, scheme: StaticString) {
        clear()
        let line = Self.endOfLine(head, from: 0)
        let target = (Self.offset(of: " ", in: head, from: 0)) + 1
        let end = Self.offset(of: " ", in: head, from: target)
        let host = Self.endOfLine(head, from: line)
        addPseudo(":method", head.extracting(0..<target - 1))
        scheme.withSpan { addPseudo(":scheme", $0) }
        addPseudo(":authority", head.extracting(line + "Host: ".utf8.count..<host - 2))
        addPseudo(":path", head.extracting(target..<end))
        _ = readLines(head, from: host)
    }

    private mutating func addPseudo(_ name: StaticString, _ value: Span<UInt8>) {
        let (start, first) = (names.count, values.count)
        names.append(name)
        values.append(value)
        places.append((start..<names.count, first..<values.count))
    }

    /// Reads the head of a response at the start of `bytes`: a status line, field lines and an empty line.
    mutating func readResponse(_ bytes: Span<UInt8>) -> ResponseHead {
        clear()
        names.append(":status")
        // The status is behind "HTTP/1.1 ".
        if bytes.count >= 12 { values.append(bytes.extracting(9..<12)) }
        places.append((0..<names.count, 0..<values.count))
        let count = readLines(bytes, from: Self.endOfLine(bytes, from: 0))
        if values.starts(with: "101".utf8) {
            // HTTP/2 has no such status: an extended CONNECT succeeds with any status 2xx (RFC 8441 section 5).
            values.replaceSubrange(0..<3, with: "200".utf8)
        }
        let status = values.prefix(3)
        let isInterim = status.first == UInt8(ascii: "1")
        let isBodiless = status.elementsEqual("204".utf8) || status.elementsEqual("304".utf8)
        return ResponseHead(count: count, isInterim: isInterim, hasBody: !isInterim && !isBodiless && !hasNoBytes)
    }

    /// Reads the lines of trailers.
    mutating func readTrailers(_ lines: Span<UInt8>) {
        clear()
        _ = readLines(lines, from: 0)
    }

    /// Reads field lines until an empty line or the end. Returns the offset behind them.
    private mutating func readLines(_ bytes: Span<UInt8>, from offset: Int) -> Int {
        var start = offset
        while start < bytes.count {
            let end = Self.endOfLine(bytes, from: start)
            let line = start..<max(start, end - 2)
            start = end
            if line.isEmpty { break }
            addLine(bytes, line)
        }
        return start
    }

    /// Calls `body` with the fields that were read last. They are valid during the call.
    @unsafe
    mutating func lend<Result>(_ body: (UnsafeMutablePointer<nghttp2_nv>?, Int) -> Result) -> Result {
        unsafe vectors.removeAll(keepingCapacity: true)
        // This is safe, since the arrays stay as they are during the call.
        return unsafe names.withUnsafeMutableBufferPointer { names in
            unsafe values.withUnsafeMutableBufferPointer { values in
                for place in places {
                    let name = unsafe UnsafeBufferPointer(rebasing: names[place.name]).span
                    let isSecret = Self.secretFields.contains { name.equals($0) }
                    unsafe vectors.append(
                        nghttp2_nv(
                            name: names.baseAddress.map { unsafe $0 + place.name.lowerBound },
                            value: values.baseAddress.map { unsafe $0 + place.value.lowerBound },
                            namelen: place.name.count, valuelen: place.value.count,
                            flags: UInt8(isSecret ? NGHTTP2_NV_FLAG_NO_INDEX.rawValue : NGHTTP2_NV_FLAG_NONE.rawValue)))
                }
                return unsafe vectors.withUnsafeMutableBufferPointer { unsafe body($0.baseAddress, $0.count) }
            }
        }
    }

    /// Adds the field of one line, without the line's end.
    private mutating func addLine(_ head: Span<UInt8>, _ line: Range<Int>) {
        guard let colon = line.first(where: { head[$0] == UInt8(ascii: ":") }) else { return }
        let start = names.count
        for index in line.lowerBound..<colon { names.append(head[index].lowercased) }
        let name = start..<names.count
        guard !Self.connectionFields.contains(where: { names[name].span.equals($0) }) else {
            return names.removeLast(name.count)
        }
        let value = head.extracting(colon + 1..<line.upperBound).trimmed
        if names[name].span.equals("content-length"), value.equals("0") { hasNoBytes = true }
        let first = values.count
        values.append(value)
        places.append((name, first..<values.count))
    }

    /// The offset behind the line end that follows `start`.
    private static func endOfLine(_ head: Span<UInt8>, from start: Int) -> Int {
        offset(of: "\n", in: head, from: start) + 1
    }

    private static func offset(of byte: Unicode.Scalar, in head: Span<UInt8>, from start: Int) -> Int {
        var index = start
        while index < head.count, head[index] != UInt8(ascii: byte) { index += 1 }
        return index
    }
}
