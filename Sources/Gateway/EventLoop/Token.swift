/// Identifies the subject of an event, such as a connection, in the 64 bits that epoll stores with a descriptor. A
/// token has the subject's kind, index and generation. The descriptor itself would not be enough, since the kernel can
/// reuse its number while an old event is still queued.
struct Token: Equatable {
    enum Kind: UInt8 {
        case listener = 1
        case client = 2
        case upstream = 3
        case mailbox = 4
        case worker = 5
    }

    let raw: UInt64

    init(_ kind: Kind, _ id: SlotID = SlotID(index: 0, generation: 0)) {
        raw = UInt64(kind.rawValue) << 56 | UInt64(id.generation & 0xFF_FFFF) << 32 | UInt64(id.index)
    }

    init(raw: UInt64) { self.raw = raw }

    var kind: Kind? { Kind(rawValue: UInt8(raw >> 56)) }
    var index: UInt32 { UInt32(truncatingIfNeeded: raw) }
    private var generation: UInt32 { UInt32(truncatingIfNeeded: raw >> 32) & 0xFF_FFFF }

    /// Returns nil if the element no longer exists.
    func element<Element: ~Copyable>(in slab: borrowing Slab<Element>) -> SlotID? {
        guard let id = slab.id(at: index), id.generation & 0xFF_FFFF == generation else { return nil }
        return id
    }
}
