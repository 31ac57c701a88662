/// A range of a head's bytes, as offsets from the head's first byte.
public struct ByteRange: Equatable, Sendable {
    /// The first byte's offset.
    public let start: UInt32
    /// The offset after the last byte.
    public let end: UInt32

    /// An empty range at the head's start.
    @inlinable public init() {
        start = 0
        end = 0
    }

    /// Creates a range. Both offsets must fit 32 bits, which `HeadLimits` ensures.
    @inlinable public init(_ start: Int, _ end: Int) {
        self.start = UInt32(start)
        self.end = UInt32(end)
    }

    /// The range in the form that `Span.extracting` needs.
    @inlinable public var range: Range<Int> { Int(start)..<Int(end) }
    /// How many bytes the range has; 0 for an empty value, such as that of `Host:`.
    @inlinable public var count: Int { Int(end) - Int(start) }
    /// Whether the range has no bytes.
    @inlinable public var isEmpty: Bool { start == end }
}
