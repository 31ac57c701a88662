/// The fields behind a body (RFC 9110 section 6.5). The memory is reused for the next section.
public struct TrailerFields: ~Copyable {
    private var fields: HeaderFields
    private var isReadable = false

    /// Creates an empty section. `kind` is the kind of the messages whose trailers `parse` will read.
    public init(of kind: MessageKind) { fields = HeaderFields(of: kind) }

    /// `parse` uses only `maxFields`: a section with more fields counts as having none. `BodyLimits` limits the bytes.
    private static let limits = HeadLimits(maxHeadBytes: 16 << 10, maxFields: 100)

    /// Reads a trailer section: field lines, and an empty line. A section that can't be read has no fields.
    public mutating func parse(_ section: Span<UInt8>) {
        isReadable = (try? fields.parse(section, from: 0, Self.limits)) != nil
    }

    /// The number of fields; 0 if the section could not be read.
    public var count: Int { isReadable ? fields.count : 0 }

    /// The field at an index, 0 to `count` - 1.
    public subscript(index: Int) -> HeaderField { fields[index] }
}

extension HeaderField {
    /// Whether the field may be passed on as a trailer. The receiver may treat it like a field of the head, so it must
    /// not concern framing, routing, access or the content's form (RFC 9110 section 6.5.1). `KnownField` has a case for
    /// each such field, so only `.other` may pass.
    public var mayBeTrailer: Bool { id == .other && !isHopByHop && !hasUnderscore }
}
