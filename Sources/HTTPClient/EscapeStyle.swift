import PKI

/// A way in which a text may escape bytes. A byte that is not escaped stands for itself.
enum EscapeStyle: Sendable {
    case none
    /// The escapes of URLs and JSON. A text may be encoded several times, as when JSON quotes JSON; `times` is that number.
    case encoded(times: Int)
    case html

    /// The first bytes of escapes that consist of several ASCII characters. A text may be cut within such an escape.
    static let halves: [UInt8] = Array("%\\&".utf8)

    /// The first bytes of all escapes. 0xC2 and 0xC3 begin the UTF-8 encoding of U+0080 to U+00FF.
    static let beginnings: [UInt8] = Array("%\\&+".utf8) + [0xC2, 0xC3]

    /// The length of the longest escape of a base64 digit: a numeric reference of HTML.
    static let longest = 12

    /// Returns the styles that may occur in a text, judging by the bytes in it.
    static func all(in text: [UInt8]) -> [EscapeStyle] {
        let backslash = UInt8(ascii: "\\")
        let quotesJSON = zip(text, text.dropFirst()).contains { $0 == backslash && $1 == backslash }
        var styles: [EscapeStyle] = [.encoded(times: 1)]
        if quotesJSON || text.contains(UInt8(ascii: "%")) { styles += [.encoded(times: 2), .encoded(times: 3)] }
        if text.contains(UInt8(ascii: "&")) { styles.append(.html) }
        return styles + [.none]
    }

    /// Decodes an escape that stands for a whole character, as in JSON and HTML: `\u00E9` for é, rather than an escape
    /// for each byte of its UTF-8. Returns the character and the length of the escape, or nil if there is no such
    /// escape.
    func scalar(in text: [UInt8], at index: Int) -> (scalar: Unicode.Scalar, length: Int)? {
        switch (self, text[index]) {
        case (.encoded(let times), UInt8(ascii: "\\")):
            guard let (high, length) = Self.codeUnit(in: text, at: index, times) else { return nil }
            if let scalar = Unicode.Scalar(high) { return (scalar, length) }
            guard UTF16.isLeadSurrogate(high), let (low, rest) = Self.codeUnit(in: text, at: index + length, times),
                UTF16.isTrailSurrogate(low)
            else { return nil }
            return (UTF16.decode(UTF16.EncodedScalar([high, low])), length + rest)
        case (.html, UInt8(ascii: "&")):
            return Self.numericReference(in: text, at: index).flatMap { value, length in
                Unicode.Scalar(value).map { ($0, length) }
            }
        default: return nil
        }
    }

    /// Decodes a byte or an escape of JSON (RFC 8259 section 7) in a text that was encoded `times` times. Returns the code
    /// unit and its length in the text. Nil at the end of the text, or if a backslash begins no escape.
    private static func codeUnit(in text: [UInt8], at index: Int, _ times: Int) -> (value: UInt16, length: Int)? {
        guard index < text.count else { return nil }
        guard times > 0 else { return (UInt16(text[index]), 1) }
        guard let (first, start) = codeUnit(in: text, at: index, times - 1) else { return nil }
        guard first == UInt8(ascii: "\\") else { return (first, start) }
        guard let (kind, rest) = codeUnit(in: text, at: index + start, times - 1) else { return nil }
        var length = start + rest
        switch UInt8(truncatingIfNeeded: kind) {
        case UInt8(ascii: "u"):
            var value: UInt16 = 0
            for _ in 0..<4 {
                guard let (unit, count) = codeUnit(in: text, at: index + length, times - 1),
                    let digit = UInt8(exactly: unit).flatMap(Hex.value)
                else { return nil }
                value = value << 4 | UInt16(digit)
                length += count
            }
            return (value, length)
        case UInt8(ascii: "n"): return (0x0A, length)
        case UInt8(ascii: "r"): return (0x0D, length)
        case UInt8(ascii: "t"): return (0x09, length)
        case UInt8(ascii: "b"): return (0x08, length)
        case UInt8(ascii: "f"): return (0x0C, length)
        case let byte where "/\"\\".utf8.contains(byte): return (kind, length)
        default: return nil
        }
    }

    /// Decodes the escape at an index. Returns the byte and the length of the escape, or nil if there is no escape.
    func escape(in text: [UInt8], at index: Int) -> (byte: UInt8, length: Int)? {
        guard Self.beginnings.contains(text[index]) else { return nil }
        switch self {
        case .none: return nil
        case .html: return text[index] == UInt8(ascii: "&") ? Self.entity(in: text, at: index) : nil
        case .encoded(let times):
            switch text[index] {
            case UInt8(ascii: "+"): return (UInt8(ascii: " "), 1)
            case 0xC2...0xC3 where index + 1 < text.count && 0x80...0xBF ~= text[index + 1]:
                return (text[index] << 6 | text[index + 1] & 0x3F, 2)
            case UInt8(ascii: "\\"):
                return Self.codeUnit(in: text, at: index, times).flatMap { unit, length in
                    UInt8(exactly: unit).map { ($0, length) }
                }
            case UInt8(ascii: "%"): return Self.percentByte(in: text, at: index, times)
            default: return nil
            }
        }
    }

    /// Decodes one byte that was percent-encoded `times` times (`%252F` for 2) or once (`%2F`).
    private static func percentByte(in text: [UInt8], at index: Int, _ times: Int) -> (byte: UInt8, length: Int)? {
        for count in Set([times, 1]).sorted(by: >) {
            let sign = "%" + String(repeating: "25", count: count - 1)
            guard text[index...].starts(with: sign.utf8) else { continue }
            let length = sign.utf8.count
            if let byte = hexByte(in: text, at: index + length) { return (byte, length + 2) }
        }
        return nil
    }

    /// The HTML entities for characters that HTML or URLs treat specially.
    private static let entities: [(text: String, byte: UInt8)] = [
        ("&amp;", UInt8(ascii: "&")), ("&lt;", UInt8(ascii: "<")), ("&gt;", UInt8(ascii: ">")),
        ("&quot;", UInt8(ascii: "\"")), ("&apos;", UInt8(ascii: "'")), ("&sol;", UInt8(ascii: "/")),
        ("&plus;", UInt8(ascii: "+")), ("&equals;", UInt8(ascii: "=")), ("&percnt;", UInt8(ascii: "%")),
        ("&bsol;", UInt8(ascii: "\\")), ("&num;", UInt8(ascii: "#")),
    ]

    /// Decodes an HTML entity or a numeric character reference. Returns the byte and the length of the escape.
    private static func entity(in text: [UInt8], at index: Int) -> (byte: UInt8, length: Int)? {
        if let (text, byte) = entities.first(where: { text[index...].starts(with: $0.text.utf8) }) {
            return (byte, text.utf8.count)
        }
        return numericReference(in: text, at: index).flatMap { value, length in
            UInt8(exactly: value).map { ($0, length) }
        }
    }

    /// Decodes a numeric character reference of HTML.
    private static func numericReference(in text: [UInt8], at index: Int) -> (value: UInt32, length: Int)? {
        // A numeric reference may have leading zeros, as in `&#x0000002F;`, which has 12 characters.
        guard text[index...].starts(with: "&#".utf8),
            let end = text[index...].prefix(12).firstIndex(of: UInt8(ascii: ";"))
        else { return nil }
        let digits = String(decoding: text[(index + 2)..<end], as: UTF8.self)
        let value = digits.lowercased().hasPrefix("x") ? UInt32(digits.dropFirst(), radix: 16) : UInt32(digits)
        return value.map { ($0, end + 1 - index) }
    }

    private static func hexByte(in text: [UInt8], at index: Int) -> UInt8? {
        guard index + 1 < text.count, let high = Hex.value(text[index]), let low = Hex.value(text[index + 1]) else {
            return nil
        }
        return high << 4 | low
    }
}
