/// One field of a head (RFC 9112 section 5).
public struct HeaderField: Equatable, Sendable {
    /// Its name, as sent: a token.
    public let name: ByteRange
    /// Its value without the white space around it; no control byte but HTAB is in it.
    public let value: ByteRange
    /// Which field it is.
    public let id: KnownField
    /// Whether it ends at this hop: by its definition, or, when its name is not one we know, because Connection names it
    /// (RFC 9110 section 7.6.1). Names that we know to be meant for the other end can't be removed that way.
    public internal(set) var isHopByHop: Bool
    /// Whether its name has an underscore, which some upstreams take for "-" and so for another field.
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
