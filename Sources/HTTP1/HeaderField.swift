/// One field of a head (RFC 9112 section 5).
public struct HeaderField: Equatable, Sendable {
    /// The name as sent: a token.
    public let name: ByteRange
    /// The value without the white space around it. The only control byte that a value may contain is HTAB.
    public let value: ByteRange
    /// The field that the name stands for; `.other` if the gateway does not recognise the name.
    public let id: KnownField
    /// Whether the field applies to this connection only and must not be forwarded: by the field's definition, or
    /// because Connection names the field (RFC 9110 section 7.6.1). Connection has no effect on fields that
    /// `KnownField` lists as end-to-end, so a client can't remove those fields.
    public internal(set) var isHopByHop: Bool
    /// Whether the name has an underscore. Some upstreams read "_" as "-" and would mistake the field for another one.
    public let hasUnderscore: Bool

    @inline(__always)
    init(name: ByteRange, value: ByteRange, id: KnownField, hasUnderscore: Bool) {
        self.name = name
        self.value = value
        self.id = id
        self.isHopByHop = id.isHopByHop
        self.hasUnderscore = hasUnderscore
    }
}
