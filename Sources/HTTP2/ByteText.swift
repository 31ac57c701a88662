import HTTP1

extension Array<UInt8> {
    mutating func append(_ text: StaticString) {
        // This is safe, since the literal's bytes live as long as the program.
        unsafe append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func append(_ bytes: Span<UInt8>) {
        // This is safe, since the bytes are copied before the closure returns.
        unsafe bytes.withUnsafeBufferPointer { unsafe append(contentsOf: $0) }
    }

    /// Appends a field in the form of HTTP/1.1.
    mutating func appendLine(_ name: Span<UInt8>, _ value: Span<UInt8>) {
        append(name)
        append(": ")
        append(value)
        append("\r\n")
    }
}

extension ArraySlice<UInt8> {
    func equalsIgnoringCase(_ other: ArraySlice<UInt8>) -> Bool {
        count == other.count && zip(self, other).allSatisfy { $0.lowercased == $1.lowercased }
    }
}

extension Span<UInt8> {
    func equals(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        for index in indices where unsafe self[index] != text.utf8Start[index] { return false }
        return true
    }

    /// The bytes without blanks at either end. RFC 9113 section 8.2.1 forbids such blanks, but clients send them.
    var trimmed: Span<UInt8> {
        @_lifetime(copy self)
        get {
            var (start, end) = (0, count)
            while start < end, self[start].isBlank { start += 1 }
            while end > start, self[end - 1].isBlank { end -= 1 }
            return extracting(start..<end)
        }
    }
}

extension StaticString {
    func withSpan(_ body: (Span<UInt8>) -> Void) {
        // This is safe, since the literal's bytes live as long as the program.
        unsafe body(UnsafeBufferPointer(start: utf8Start, count: utf8CodeUnitCount).span)
    }
}
