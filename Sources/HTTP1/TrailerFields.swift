/// The fields behind a body (RFC 9110 section 6.5). The memory is reused for the next section.
public struct TrailerFields: ~Copyable {
    private var fields: HeaderFields
    private var isReadable = false

    /// No fields, of a request or of a response.
    public init(of kind: MessageKind) { fields = HeaderFields(of: kind) }

    /// The most bytes of a trailer section.
    private static let limits = HeadLimits(maxHeadBytes: 16 << 10, maxFields: 100)

    /// Reads a trailer section: field lines, and an empty line. A section that can't be read has no fields.
    public mutating func parse(_ section: Span<UInt8>) {
        isReadable = (try? fields.parse(section, from: 0, Self.limits)) != nil
    }

    /// The number of fields.
    public var count: Int { isReadable ? fields.count : 0 }

    /// The field at an index, 0 to `count` - 1.
    public subscript(index: Int) -> HeaderField { fields[index] }
}

extension HeaderField {
    /// Whether the field may be passed on as a trailer. The receiver may treat it like a field of the head, so it must not
    /// concern framing, routing, access or the content's form (RFC 9110 section 6.5.1). All such fields are known ones.
    public var mayBeTrailer: Bool { id == .other && !isHopByHop && !hasUnderscore }
}
