import PKI

/// A way in which a text may escape bytes. A byte that is not escaped stands for itself.
enum EscapeStyle: Sendable {
    case none
    /// The escapes of URLs and JSON. In URLs, percent signs may be encoded several times; `times` is that number.
    case percent(times: Int)
    case html

    /// The first bytes of escapes that consist of several ASCII characters. A text may be cut within such an escape.
    static let halves: [UInt8] = Array("%\\&".utf8)

    /// The first bytes of all escapes. 0xC2 and 0xC3 begin the UTF-8 encoding of U+0080 to U+00FF.
    static let beginnings: [UInt8] = Array("%\\&+".utf8) + [0xC2, 0xC3]

    /// The length of the longest escape of a base64 digit: a numeric reference of HTML.
    static let longest = 12

    /// Returns the styles that may occur in a text, judging by the bytes in it.
    static func all(in text: [UInt8]) -> [EscapeStyle] {
        var styles: [EscapeStyle] = [.percent(times: 1)]
        if text.contains(UInt8(ascii: "%")) { styles += [.percent(times: 2), .percent(times: 3)] }
        if text.contains(UInt8(ascii: "&")) { styles.append(.html) }
        return styles + [.none]
    }

    /// Decodes the escape of a whole character at an index, as JSON and HTML have it: of U+00E9, not of the two bytes that
    /// encode it. Returns the character and the length of the escape, or nil if there is no such escape.
    func scalar(in text: [UInt8], at index: Int) -> (scalar: Unicode.Scalar, length: Int)? {
        switch (self, text[index]) {
        case (.percent(times: 1), UInt8(ascii: "\\")):
            guard let high = Self.codeUnit(in: text, at: index) else { return nil }
            if let scalar = Unicode.Scalar(high) { return (scalar, 6) }
            guard UTF16.isLeadSurrogate(high), let low = Self.codeUnit(in: text, at: index + 6),
                UTF16.isTrailSurrogate(low)
            else { return nil }
            return (UTF16.decode(UTF16.EncodedScalar([high, low])), 12)
        case (.html, UInt8(ascii: "&")):
            return Self.numericReference(in: text, at: index).flatMap { value, length in
                Unicode.Scalar(value).map { ($0, length) }
            }
        default: return nil
        }
    }

    /// Decodes `\u` and four hex digits, a code unit of UTF-16 (RFC 8259 section 7).
    private static func codeUnit(in text: [UInt8], at index: Int) -> UInt16? {
        guard index + 5 < text.count, text[index] == UInt8(ascii: "\\"), text[index + 1] == UInt8(ascii: "u"),
            let high = hexByte(in: text, at: index + 2), let low = hexByte(in: text, at: index + 4)
        else { return nil }
        return UInt16(high) << 8 | UInt16(low)
    }

    /// Decodes the escape at an index. Returns the byte and the length of the escape, or nil if there is no escape.
    func escape(in text: [UInt8], at index: Int) -> (byte: UInt8, length: Int)? {
        guard Self.beginnings.contains(text[index]) else { return nil }
        switch self {
        case .none: return nil
        case .html: return text[index] == UInt8(ascii: "&") ? Self.entity(in: text, at: index) : nil
        case .percent(let times):
            guard times > 1, text[index] == UInt8(ascii: "%") else { return Self.simpleEscape(in: text, at: index) }
            // For example, `%252F` is `%2F` whose percent sign was encoded again.
            let sign = "%" + String(repeating: "25", count: times - 1)
            guard text[index...].starts(with: sign.utf8) else { return nil }
            return Self.hexByte(in: text, at: index + sign.utf8.count).map { ($0, sign.utf8.count + 2) }
        }
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

    /// Decodes an escape of URLs or JSON, or the UTF-8 encoding of U+0080 to U+00FF. Returns the byte and the length of
    /// the escape.
    private static func simpleEscape(in text: [UInt8], at index: Int) -> (byte: UInt8, length: Int)? {
        switch text[index] {
        case UInt8(ascii: "+"): return (UInt8(ascii: " "), 1)
        case 0xC2...0xC3 where index + 1 < text.count && 0x80...0xBF ~= text[index + 1]:
            return (text[index] << 6 | text[index + 1] & 0x3F, 2)
        case UInt8(ascii: "%"): return hexByte(in: text, at: index + 1).map { ($0, 3) }
        case UInt8(ascii: "\\") where index + 1 < text.count:
            switch text[index + 1] {
            case UInt8(ascii: "u") where text[(index + 2)...].starts(with: "00".utf8):
                return hexByte(in: text, at: index + 4).map { ($0, 6) }
            case UInt8(ascii: "n"): return (0x0A, 2)
            case UInt8(ascii: "r"): return (0x0D, 2)
            case UInt8(ascii: "t"): return (0x09, 2)
            case let byte where "/\"\\".utf8.contains(byte): return (byte, 2)
            default: return nil
            }
        default: return nil
        }
    }

    private static func hexByte(in text: [UInt8], at index: Int) -> UInt8? {
        guard index + 1 < text.count, let high = Hex.value(text[index]), let low = Hex.value(text[index + 1]) else {
            return nil
        }
        return high << 4 | low
    }
}
