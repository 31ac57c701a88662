import CByteSearch

/// Looking for bytes.
extension Span<UInt8> {
    /// The first byte at or after `start` that is a control byte (0-31, 127) or `stop`; the count if there is none.
    @inline(__always)
    func firstControl(or stop: UInt8 = 0x7F, from start: Int) -> Int {
        // Nothing is looked at but what lies within the span.
        unsafe withUnsafeBufferPointer { bytes in
            unsafe aegis_first_control(bytes.baseAddress, start, bytes.count, stop)
        }
    }

    /// How often `byte` stands in a stretch.
    func occurrences(of byte: UInt8, in text: ByteRange) -> Int {
        var occurrences = 0
        var at = firstControl(or: byte, from: Int(text.start))
        while at < Int(text.end) {
            if self[at] == byte { occurrences += 1 }
            at = firstControl(or: byte, from: at + 1)
        }
        return occurrences
    }

    /// Whether every byte of a stretch is in a set, and there is one.
    @inline(__always)
    func isMade(of set: ByteSet, _ start: Int, _ end: Int) -> Bool {
        var at = start
        while at < end {
            guard set.contains(self[at]) else { return false }
            at &+= 1
        }
        return start < end
    }

    /// Whether "%" and two hexadecimal digits stand at an offset (RFC 3986 section 2.1).
    func isTriplet(_ at: Int, _ end: Int) -> Bool {
        at + 2 < end && self[at] == .ascii("%") && self[at + 1].hexValue != nil && self[at + 2].hexValue != nil
    }

    /// Whether two stretches hold the same ASCII text, but for its case.
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

    /// A character of ASCII.
    @inline(__always) static func ascii(_ character: Unicode.Scalar) -> UInt8 {
        UInt8(truncatingIfNeeded: character.value)
    }

    @inline(__always) var isDigit: Bool { self &- 0x30 < 10 }
    /// SP or HTAB, which RFC 9110 calls OWS.
    @inline(__always) var isBlank: Bool { self == .space || self == .tab }
    /// What a field's value may hold (RFC 9110 section 5.5): all but control bytes, and HTAB.
    @inline(__always) var isFieldText: Bool { self >= 0x20 && self != 0x7F || self == .tab }
    @inline(__always) var lowercased: UInt8 { self &- 0x41 < 26 ? self | 0x20 : self }

    /// The hexadecimal digit of a value below 16, in upper case.
    static func hexDigit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 &+ value : 0x37 &+ value }

    /// What it stands for as a hexadecimal digit.
    @inline(__always) var hexValue: UInt8? {
        if isDigit { return self &- 0x30 }
        let letter = (self | 0x20) &- 0x61
        return letter < 6 ? letter &+ 10 : nil
    }
}
