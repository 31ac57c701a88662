/// A view of bytes in a buffer of the data plane: a worker's scratch memory or a connection's queue.
///
/// It is valid until that buffer is written to the next time, which is why views are passed down and never kept. Access is
/// checked against the view's bounds.
@safe
struct Bytes {
    private let start: UnsafePointer<UInt8>
    let count: Int

    /// A view of memory that outlives its use.
    @unsafe
    init(_ start: UnsafePointer<UInt8>, count: Int) {
        unsafe self.start = start
        self.count = count
    }

    /// A constant text.
    init(_ text: StaticString) { unsafe self.init(text.utf8Start, count: text.utf8CodeUnitCount) }

    var isEmpty: Bool { count == 0 }

    subscript(index: Int) -> UInt8 {
        precondition(index >= 0 && index < count, "out of bounds")
        return unsafe start[index]
    }

    /// A part of the view.
    subscript(range: Range<Int>) -> Bytes {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "out of bounds")
        return unsafe Bytes(start + range.lowerBound, count: range.count)
    }

    /// What follows the first `offset` bytes.
    func from(_ offset: Int) -> Bytes { self[offset..<count] }

    /// The same as a span. Its lifetime is unknown to the compiler, as is the view's.
    var span: Span<UInt8> {
        @_lifetime(immortal) get {
            let span = unsafe Span(_unsafeStart: start, count: count)
            return unsafe _overrideLifetime(span, borrowing: ())
        }
    }

    /// The same for calls into C.
    @unsafe
    var buffer: UnsafeBufferPointer<UInt8> { unsafe UnsafeBufferPointer(start: start, count: count) }

    /// The bytes for good.
    var copy: [UInt8] { unsafe Array(buffer) }

    /// The bytes as text, for logs.
    var text: String { unsafe String(decoding: buffer, as: UTF8.self) }

    /// The items of a comma-separated list (RFC 9110 section 5.6.1), without the blanks around them; empty ones are left out.
    var listItems: some Sequence<Bytes> {
        var at = 0
        return sequence(state: ()) { _ in
            while at < count {
                var start = at
                while at < count, self[at] != UInt8(ascii: ",") { at += 1 }
                var end = at
                at += 1
                while start < end, self[start].isBlank { start += 1 }
                while start < end, self[end - 1].isBlank { end -= 1 }
                if start < end { return self[start..<end] }
            }
            return nil
        }
    }

    func equals(_ text: StaticString) -> Bool { equals(Bytes(text)) }

    func equals(_ other: Bytes) -> Bool { count == other.count && (0..<count).allSatisfy { self[$0] == other[$0] } }
}

extension String {
    /// Lends its UTF-8.
    func lendingBytes<Result>(_ body: (Bytes) -> Result) -> Result {
        var text = self
        return text.withUTF8 { buffer in
            // Lent to the call alone; only an empty text has no address.
            guard let start = buffer.baseAddress else { return body(Bytes("")) }
            return unsafe body(Bytes(start, count: buffer.count))
        }
    }
}

extension UInt8 {
    /// Whether it is a space or a tab.
    fileprivate var isBlank: Bool { self == 0x20 || self == 0x09 }
}
