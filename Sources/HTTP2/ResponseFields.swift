import CNghttp2
import HTTP1

/// The fields of a response for nghttp2, made of a head in the form of HTTP/1.1.
@safe
struct ResponseFields {
    private var names: [UInt8] = []
    private var places: [(name: Range<Int>, value: Range<Int>)] = []
    private var vectors: [nghttp2_nv] = unsafe []

    /// Fields that belong to a connection of HTTP/1.1 (RFC 9113 section 8.2.2).
    private static let connectionFields: [StaticString] = [
        "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade",
    ]

    /// Reads a head, and calls `body` with its fields. They are valid during the call.
    ///
    /// - Parameter head: A status line and field lines, each with CRLF, as the gateway writes them itself.
    @unsafe
    mutating func read<Result>(
        _ head: Span<UInt8>, _ body: (UnsafeMutablePointer<nghttp2_nv>?, Int) -> Result
    ) -> Result {
        names.removeAll(keepingCapacity: true)
        places.removeAll(keepingCapacity: true)
        unsafe vectors.removeAll(keepingCapacity: true)
        names.append(":status")
        // The status is behind "HTTP/1.1 ".
        places.append((0..<names.count, 9..<12))
        var start = Self.endOfLine(head, from: 0)
        while start < head.count {
            let end = Self.endOfLine(head, from: start)
            addLine(head, start..<end - 2)
            start = end
        }
        // This is safe, since nghttp2 only reads the fields, and `names` and `head` stay as they are during the call.
        return unsafe head.withUnsafeBufferPointer { head in
            unsafe names.withUnsafeMutableBufferPointer { names in
                for place in places {
                    unsafe vectors.append(
                        nghttp2_nv(
                            name: names.baseAddress.map { unsafe $0 + place.name.lowerBound },
                            value: UnsafeMutablePointer(
                                mutating: head.baseAddress.map { unsafe $0 + place.value.lowerBound }),
                            namelen: place.name.count, valuelen: place.value.count,
                            flags: Self.flags(UnsafeBufferPointer(rebasing: names[place.name]).span)))
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
        var value = colon + 1
        while value < line.upperBound, head[value].isBlank { value += 1 }
        places.append((name, value..<line.upperBound))
    }

    /// nghttp2 copies nothing. Its compressor's table must not keep secret values (RFC 7541 section 7.1.3).
    private static func flags(_ name: Span<UInt8>) -> UInt8 {
        var flags = NGHTTP2_NV_FLAG_NO_COPY_NAME.rawValue | NGHTTP2_NV_FLAG_NO_COPY_VALUE.rawValue
        if name.equals("set-cookie") { flags |= NGHTTP2_NV_FLAG_NO_INDEX.rawValue }
        return UInt8(flags)
    }

    /// The offset behind the line end that follows `start`.
    private static func endOfLine(_ head: Span<UInt8>, from start: Int) -> Int {
        var index = start
        while index < head.count, head[index] != UInt8(ascii: "\n") { index += 1 }
        return index + 1
    }
}
