/// A view of bytes in a buffer of the data plane: a worker's scratch memory or a connection's queue.
///
/// A view is valid until its buffer is next written to, so views are passed down and never kept. Access is checked
/// against the view's bounds.
@safe
struct Bytes {
    private let start: UnsafePointer<UInt8>
    let count: Int

    /// The memory must outlive the view.
    @unsafe
    init(_ start: UnsafePointer<UInt8>, count: Int) {
        unsafe self.start = start
        self.count = count
    }

    /// The buffer must outlive the view.
    @unsafe
    init(_ buffer: UnsafeBufferPointer<UInt8>) {
        // Only an empty buffer can have no address.
        guard let start = buffer.baseAddress else { self = Bytes(""); return }
        unsafe self.init(start, count: buffer.count)
    }

    /// A constant text is always valid.
    init(_ text: StaticString) { unsafe self.init(text.utf8Start, count: text.utf8CodeUnitCount) }

    var isEmpty: Bool { count == 0 }

    subscript(index: Int) -> UInt8 {
        precondition(index >= 0 && index < count, "out of bounds")
        return unsafe start[index]
    }

    subscript(range: Range<Int>) -> Bytes {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "out of bounds")
        return unsafe Bytes(start + range.lowerBound, count: range.count)
    }

    func from(_ offset: Int) -> Bytes { self[offset..<count] }

    /// The bytes as a span. The compiler keeps the span within this view's lifetime, but can't check that the view is
    /// still valid.
    var span: Span<UInt8> {
        @_lifetime(borrow self) get {
            let span = unsafe Span(_unsafeStart: start, count: count)
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// Lends the bytes to a C function.
    @unsafe
    var buffer: UnsafeBufferPointer<UInt8> { unsafe UnsafeBufferPointer(start: start, count: count) }

    /// Unlike the view, the copy may be kept.
    var copy: [UInt8] { unsafe Array(buffer) }

    /// The bytes decoded as UTF-8, for logs. Invalid bytes become U+FFFD.
    var text: String { unsafe String(decoding: buffer, as: UTF8.self) }

    /// The items of a comma-separated list (RFC 9110 section 5.6.1). Blanks around the items and empty items are left
    /// out.
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
    /// Lends the string's UTF-8 bytes to `body`, which must not keep the view.
    func lendingBytes<Result>(_ body: (Bytes) -> Result) -> Result {
        var text = self
        return text.withUTF8 { unsafe body(Bytes($0)) }
    }
}

extension Array<UInt8> {
    /// Lends the array's bytes to `body`, which must not keep the view.
    func lendingBytes<Result>(_ body: (Bytes) -> Result) -> Result {
        unsafe withUnsafeBufferPointer { unsafe body(Bytes($0)) }
    }

    mutating func append(contentsOf bytes: Bytes) {
        // `append` copies the bytes before it returns.
        unsafe append(contentsOf: bytes.buffer)
    }
}

extension UInt8 {
    fileprivate var isBlank: Bool { self == 0x20 || self == 0x09 }
}
