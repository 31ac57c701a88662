import Glibc
import HTTP1

/// A view of bytes in a buffer of the data plane, such as a worker's scratch memory.
///
/// A view is valid until its buffer is next written to. So a view is passed down to other functions and not kept for
/// later. An access outside of the view traps.
@safe
struct Bytes {
    private let start: UnsafePointer<UInt8>
    let count: Int

    /// The caller must keep the memory valid as long as the view is used.
    @unsafe
    init(_ start: UnsafePointer<UInt8>, count: Int) {
        unsafe self.start = start
        self.count = count
    }

    /// The caller must keep the buffer valid as long as the view is used.
    @unsafe
    init(_ buffer: UnsafeBufferPointer<UInt8>) {
        // Only an empty buffer can have no address.
        guard let start = buffer.baseAddress else { self = Bytes(""); return }
        unsafe self.init(start, count: buffer.count)
    }

    /// The view is always valid, since a constant text is never freed.
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

    /// The compiler keeps the span within this view's lifetime, but can't check that the view is still valid.
    var span: Span<UInt8> {
        @_lifetime(borrow self) get {
            let span = unsafe Span(_unsafeStart: start, count: count)
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// For calls of C functions, which must not keep the address.
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

    /// The bytes as a decimal number. Nil if they are empty or contain anything but digits. A number that the type
    /// can't hold becomes the type's largest number.
    var number: UInt64? {
        guard !isEmpty else { return nil }
        var number: UInt64 = 0
        for index in 0..<count {
            guard UInt8(ascii: "0")...UInt8(ascii: "9") ~= self[index] else { return nil }
            let (ten, overflows) = number.multipliedReportingOverflow(by: 10)
            let (sum, carries) = ten.addingReportingOverflow(UInt64(self[index] - UInt8(ascii: "0")))
            number = overflows || carries ? .max : sum
        }
        return number
    }

    func firstIndex(of byte: UInt8) -> Int? {
        // This is safe, since memchr only reads.
        unsafe memchr(start, Int32(byte), count).map { unsafe $0 - UnsafeMutableRawPointer(mutating: start) }
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
        // This is safe, since `append` copies the bytes before it returns.
        unsafe append(contentsOf: bytes.buffer)
    }
}
