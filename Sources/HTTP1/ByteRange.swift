/// A stretch of a head's bytes, as offsets from the head's first byte.
public struct ByteRange: Equatable, Sendable {
    /// The first byte's offset.
    public let start: UInt32
    /// The offset after the last byte.
    public let end: UInt32

    /// Nothing, at the head's start.
    @inlinable public init() {
        start = 0
        end = 0
    }

    /// The offsets must fit 32 bits, as all do in a head within `HeadLimits`.
    @inlinable public init(_ start: Int, _ end: Int) {
        self.start = UInt32(start)
        self.end = UInt32(end)
    }

    /// The same stretch for `Span.extracting`.
    @inlinable public var range: Range<Int> { Int(start)..<Int(end) }
    /// How many bytes it holds.
    @inlinable public var count: Int { Int(end) - Int(start) }
    /// Whether it holds no byte.
    @inlinable public var isEmpty: Bool { start == end }
}
