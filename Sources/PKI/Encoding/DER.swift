/// Writes the ASN.1 types in DER (X.690) that Aegis's certificate extensions need.
enum DER {
    static func sequence(_ parts: [[UInt8]]) -> [UInt8] { value(tag: 0x30, Array(parts.joined())) }
    static func octetString(_ bytes: [UInt8]) -> [UInt8] { value(tag: 0x04, bytes) }
    static var isTrue: [UInt8] { [0x01, 0x01, 0xFF] }
    static func integer(_ small: UInt8) -> [UInt8] { [0x02, 0x01, small & 0x7F] }

    /// A value with a context-specific primitive tag, such as `[2] IA5String` in a GeneralName.
    static func context(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] { value(tag: 0x80 | number, bytes) }

    /// A bit string of named bits. The first named bit is the highest bit of `bits`. DER leaves out zero bits at the
    /// end.
    static func namedBits(_ bits: UInt8) -> [UInt8] {
        bits == 0 ? [0x03, 0x01, 0] : [0x03, 0x02, UInt8(bits.trailingZeroBitCount), bits]
    }

    static func value(tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        guard content.count >= 0x80 else { return [tag, UInt8(content.count)] + content }
        var length = bigEndian(content.count)
        length.insert(0x80 | UInt8(length.count), at: 0)
        return [tag] + length + content
    }

    private static func bigEndian(_ length: Int) -> [UInt8] {
        var rest = length
        var bytes: [UInt8] = []
        while rest > 0 {
            bytes.insert(UInt8(rest & 0xFF), at: 0)
            rest >>= 8
        }
        return bytes
    }
}

extension DER {
    /// Returns the range of the content of the element at `start`. The element ends where its content ends. Returns nil
    /// if the element is cut off or has an indefinite length.
    static func content(at start: Int, of bytes: [UInt8]) -> Range<Int>? {
        guard start + 2 <= bytes.count else { return nil }
        let first = Int(bytes[start + 1])
        guard first >= 0x80 else { return range(from: start + 2, count: first, in: bytes) }
        let size = first & 0x7F
        guard (1...4).contains(size), start + 2 + size <= bytes.count else { return nil }
        let length = bytes[start + 2..<start + 2 + size].reduce(0) { $0 << 8 | Int($1) }
        return range(from: start + 2 + size, count: length, in: bytes)
    }

    private static func range(from start: Int, count: Int, in bytes: [UInt8]) -> Range<Int>? {
        count <= bytes.count - start ? start..<start + count : nil
    }
}
