import CByteSearch

/// Searches and comparisons in a head's bytes.
extension Span<UInt8> {
    /// The offset of the first byte at or after `start` that is a control byte (0-31, 127) or `stop`; the count of
    /// bytes if there is none.
    @inline(__always)
    func firstControl(or stop: UInt8 = 0x7F, from start: Int) -> Int {
        // This is safe, since the C function reads only bytes of the span.
        unsafe withUnsafeBufferPointer { bytes in
            unsafe aegis_first_control(bytes.baseAddress, start, bytes.count, stop)
        }
    }

    /// How many times `byte` occurs in a range.
    func occurrences(of byte: UInt8, in text: ByteRange) -> Int {
        var occurrences = 0
        var at = firstControl(or: byte, from: Int(text.start))
        while at < Int(text.end) {
            if self[at] == byte { occurrences += 1 }
            at = firstControl(or: byte, from: at + 1)
        }
        return occurrences
    }

    /// Whether a range has at least one byte and all its bytes are in `set`.
    @inline(__always)
    func isMade(of set: ByteSet, _ start: Int, _ end: Int) -> Bool {
        var at = start
        while at < end {
            guard set.contains(self[at]) else { return false }
            at &+= 1
        }
        return start < end
    }

    /// Whether a percent-encoded byte, "%" and two hexadecimal digits, begins at an offset (RFC 3986 section 2.1).
    func isTriplet(_ at: Int, _ end: Int) -> Bool {
        at + 2 < end && self[at] == .ascii("%") && self[at + 1].hexValue != nil && self[at + 2].hexValue != nil
    }

    /// Whether two ranges hold the same text, ignoring the case of ASCII letters.
    func equalsIgnoringCase(_ one: ByteRange, _ other: ByteRange) -> Bool {
        guard one.count == other.count else { return false }
        for offset in 0..<one.count {
            let left = self[Int(one.start) + offset]
            let right = self[Int(other.start) + offset]
            guard left.lowercased == right.lowercased else { return false }
        }
        return true
    }
}

extension UInt8 {
    static var tab: UInt8 { 0x09 }
    static var lf: UInt8 { 0x0A }
    static var cr: UInt8 { 0x0D }
    static var space: UInt8 { 0x20 }

    /// The code of an ASCII character.
    @inline(__always) static func ascii(_ character: Unicode.Scalar) -> UInt8 {
        UInt8(truncatingIfNeeded: character.value)
    }

    @inline(__always) var isDigit: Bool { self &- 0x30 < 10 }
    /// SP or HTAB, the two bytes of OWS in RFC 9110 section 5.6.3.
    @inlinable @inline(__always) public var isBlank: Bool { self == 0x20 || self == 0x09 }
    /// Whether a field value may contain the byte (RFC 9110 section 5.5): HTAB, or any byte that is not a control byte.
    @inline(__always) var isFieldText: Bool { self >= 0x20 && self != 0x7F || self == .tab }
    /// The lower-case form of an ASCII letter; any other byte as it is.
    @inlinable @inline(__always) public var lowercased: UInt8 { self &- 0x41 < 26 ? self | 0x20 : self }

    /// The hexadecimal digit of a value below 16, in upper case.
    static func hexDigit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 &+ value : 0x37 &+ value }

    /// The value of a hexadecimal digit; nil for any other byte.
    @inline(__always) var hexValue: UInt8? {
        if isDigit { return self &- 0x30 }
        let letter = (self | 0x20) &- 0x61
        return letter < 6 ? letter &+ 10 : nil
    }
}
