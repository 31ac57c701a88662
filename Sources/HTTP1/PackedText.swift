/// The length of a text and its first 32 bytes, packed into four words. Comparing two packed texts compares a few
/// numbers. A literal, which must not exceed 32 bytes, becomes a constant in optimized builds.
struct PackedText: Equatable, ExpressibleByStringLiteral {
    let count: Int
    private let words: (UInt64, UInt64, UInt64, UInt64)

    @inline(__always) init(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) { self.init(bytes, start, end, setting: 0) }

    /// Packs the bytes between two offsets and sets bit 0x20 in each. This turns letters to lower case and leaves
    /// digits and "-" unchanged. It turns some control bytes into digits or "-", but the packed texts contain no
    /// control bytes.
    @inline(__always) init(folding bytes: Span<UInt8>, _ start: Int, _ end: Int) {
        self.init(bytes, start, end, setting: 0x2020_2020_2020_2020)
    }

    @inline(__always) private init(_ bytes: Span<UInt8>, _ start: Int, _ end: Int, setting bits: UInt64) {
        count = end &- start
        words = (
            Self.word(bytes, start, end, bits), count > 8 ? Self.word(bytes, start &+ 8, end, bits) : 0,
            count > 16 ? Self.word(bytes, start &+ 16, end, bits) : 0,
            count > 24 ? Self.word(bytes, start &+ 24, end, bits) : 0
        )
    }

    // @inline(__always) has no effect on the literals of a `switch`; without @_transparent each comparison would pack
    // the literal again.
    @_transparent init(stringLiteral literal: StaticString) {
        count = literal.utf8CodeUnitCount
        words = (Self.word(literal, 0), Self.word(literal, 8), Self.word(literal, 16), Self.word(literal, 24))
    }

    @inline(__always) static func == (one: PackedText, other: PackedText) -> Bool {
        one.count == other.count && one.words.0 == other.words.0 && one.words.1 == other.words.1
            && one.words.2 == other.words.2 && one.words.3 == other.words.3
    }

    /// Whether the text begins with a literal of 8 to 16 bytes.
    @inline(__always) func begins(with prefix: PackedText) -> Bool {
        count >= prefix.count && words.0 == prefix.words.0
            && words.1 & Self.mask(prefix.count &- 8) == prefix.words.1
    }

    /// Whether the folded text is 1 to 32 letters, digits and "-". Such a text is a token and needs no further check.
    @inline(__always) var isPlainName: Bool {
        1...32 ~= count && Self.isPlain(words.0, count) && (count <= 8 || Self.isPlain(words.1, count &- 8))
            && (count <= 16 || Self.isPlain(words.2, count &- 16))
            && (count <= 24 || Self.isPlain(words.3, count &- 24))
    }

    @inline(__always) private static func isPlain(_ word: UInt64, _ count: Int) -> Bool {
        // Each sum sets a byte's top bit exactly when the byte reaches a threshold. The top bits are cleared before, so
        // no sum carries into the next byte.
        let low = word & 0x7F7F_7F7F_7F7F_7F7F
        let letters = (low &+ 0x1F1F_1F1F_1F1F_1F1F) & ~(low &+ 0x0505_0505_0505_0505)
        let digits = (low &+ 0x5050_5050_5050_5050) & ~(low &+ 0x4646_4646_4646_4646)
        let dashes = ~((low ^ 0x2D2D_2D2D_2D2D_2D2D) &+ 0x7F7F_7F7F_7F7F_7F7F)
        let plain = (letters | digits | dashes) & ~word & 0x8080_8080_8080_8080
        return plain == mask(count) & 0x8080_8080_8080_8080
    }

    /// The bits of a word that its first `count` bytes occupy.
    @inline(__always) private static func mask(_ count: Int) -> UInt64 {
        count <= 0 ? 0 : count >= 8 ? ~0 : (1 &<< UInt64(count &* 8)) &- 1
    }

    /// Up to eight bytes as a word, with `bits` set.
    @inline(__always)
    private static func word(_ bytes: Span<UInt8>, _ start: Int, _ end: Int, _ bits: UInt64) -> UInt64 {
        var word: UInt64 = 0
        if start &+ 8 <= bytes.count {
            // This is safe, since eight bytes from `start` are within the span, and any eight bytes are a valid UInt64.
            word = unsafe bytes.bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: start, as: UInt64.self)
            word = UInt64(littleEndian: word)
        } else {
            for at in start..<bytes.count { word |= UInt64(bytes[at]) &<< UInt64((at &- start) &* 8) }
        }
        return (word | bits) & mask(end &- start)
    }

    @inline(__always) private static func word(_ literal: StaticString, _ start: Int) -> UInt64 {
        byte(literal, start) | byte(literal, start &+ 1) &<< 8 | byte(literal, start &+ 2) &<< 16
            | byte(literal, start &+ 3) &<< 24 | byte(literal, start &+ 4) &<< 32 | byte(literal, start &+ 5) &<< 40
            | byte(literal, start &+ 6) &<< 48 | byte(literal, start &+ 7) &<< 56
    }

    @inline(__always) private static func byte(_ literal: StaticString, _ at: Int) -> UInt64 {
        // This is safe, since the offset is below the literal's length.
        at < literal.utf8CodeUnitCount ? unsafe UInt64(literal.utf8Start[at]) : 0
    }
}
