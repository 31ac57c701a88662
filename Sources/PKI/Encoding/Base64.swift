/// The two alphabets of base64 (RFC 4648 sections 4 and 5). They differ in the characters for 62 and 63.
enum Base64Alphabet {
    case standard
    case url

    /// The ASCII character for a value below 64.
    func digit(_ value: UInt8) -> UInt8 {
        switch value {
        case 0..<26: value + UInt8(ascii: "A")
        case 26..<52: value - 26 + UInt8(ascii: "a")
        case 52..<62: value - 52 + UInt8(ascii: "0")
        case 62: self == .url ? UInt8(ascii: "-") : UInt8(ascii: "+")
        default: self == .url ? UInt8(ascii: "_") : UInt8(ascii: "/")
        }
    }

    /// The value of an ASCII character. Nil if the character is not in the alphabet.
    func value(_ digit: UInt8) -> UInt8? {
        let value = values[Int(digit)]
        return value == Self.noValue ? nil : value
    }

    /// A table with the value of each byte, or `noValue`. A loop over many bytes should get the table once, before it
    /// starts.
    var values: [UInt8] { self == .url ? Self.urlValues : Self.standardValues }

    static let noValue: UInt8 = 0xFF
    private static let standardValues = table(of: .standard)
    private static let urlValues = table(of: .url)

    private static func table(of alphabet: Base64Alphabet) -> [UInt8] {
        var values = [UInt8](repeating: noValue, count: 256)
        for value in UInt8(0)..<64 { values[Int(alphabet.digit(value))] = value }
        return values
    }

    /// Decodes a text with or without padding. White space before and after the text is ignored, and so are line ends,
    /// since tools break lines after 64 or 76 characters.
    fileprivate func decodePadded(_ text: SecretBytes) -> SecretBytes? {
        let line = SecretBytes(capacity: text.count) { output in
            text.withBytes { text in
                for index in text.indices where text[index] != 0x0A && text[index] != 0x0D {
                    output.append(text[index])
                }
            }
        }
        return line.withBytes { text in
            let isBlank = { (byte: UInt8) in byte == 0x20 || 0x09...0x0D ~= byte }
            let start = text.indices.first { !isBlank(text[$0]) } ?? text.count
            let end = text.indices.last { !isBlank(text[$0]) }.map { $0 + 1 } ?? start
            var count = end
            while count > start, end - count < 2, text[count - 1] == UInt8(ascii: "=") { count -= 1 }
            guard count == end || (end - start) % 4 == 0 else { return nil }
            return decode(text.extracting(start..<count), count: count - start)
        }
    }

    /// Encodes bytes without padding.
    fileprivate func text(_ bytes: [UInt8]) -> String {
        var digits: [UInt8] = []
        digits.reserveCapacity((bytes.count * 4 + 2) / 3)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let part = bytes[start..<min(start + 3, bytes.count)]
            let group = part.reduce(0) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - part.count))
            for index in 0...part.count { digits.append(digit(UInt8(group >> UInt32(18 - 6 * index) & 63))) }
        }
        return String(decoding: digits, as: UTF8.self)
    }

    private struct NotBase64: Error {}

    /// Decodes `count` characters. Returns nil if a character is not in the alphabet, or if the unused bits at the end
    /// are not zero.
    fileprivate func decode(_ text: Span<UInt8>, count: Int) -> SecretBytes? {
        guard count % 4 != 1 else { return nil }
        return try? SecretBytes(capacity: count * 3 / 4) { output throws(NotBase64) in
            var group: UInt32 = 0
            var bits: UInt32 = 0
            for index in 0..<count {
                guard let value = value(text[index]) else { throw NotBase64() }
                group = group << 6 | UInt32(value)
                bits += 6
                if bits >= 8 {
                    bits -= 8
                    output.append(UInt8(truncatingIfNeeded: group >> bits))
                    group &= 1 << bits - 1
                }
            }
            guard group == 0 else { throw NotBase64() }
        }
    }
}

/// Standard base64 with padding (RFC 4648 section 4).
package enum Base64 {
    package static func text(_ bytes: [UInt8]) -> String {
        Base64Alphabet.standard.text(bytes) + String(repeating: "=", count: (3 - bytes.count % 3) % 3)
    }

    /// Decodes a text with or without padding. White space before and after the text is ignored. Returns nil if another
    /// byte is not in the alphabet, or if the unused bits at the end are not zero.
    package static func secret(_ text: SecretBytes) -> SecretBytes? { Base64Alphabet.standard.decodePadded(text) }
}

/// Unpadded base64url (RFC 4648 section 5). JOSE and ACME encode bytes in this form.
package enum Base64URL {
    package static func text(_ bytes: [UInt8]) -> String { Base64Alphabet.url.text(bytes) }

    /// Decodes a text. Returns nil if a character is not in the alphabet, or if the unused bits at the end are not
    /// zero.
    package static func bytes(_ text: String) -> [UInt8]? {
        SecretBytes(Array(text.utf8)).withBytes { Base64Alphabet.url.decode($0, count: $0.count) }?.plainCopy()
    }

    /// Decodes a secret that a CA has given to the operator. Not all CAs follow the standard, so padding, the standard
    /// alphabet, and white space before and after the text are accepted too.
    package static func secret(_ text: SecretBytes) -> SecretBytes? {
        Base64Alphabet.url.decodePadded(text) ?? Base64Alphabet.standard.decodePadded(text)
    }

    /// Returns the characters that a secret contributes to the encoding of a longer text, to find the secret in that
    /// encoding. `offset` (0 to 2) is the position of the secret's first byte within a group of three bytes. The result
    /// leaves out the characters at both ends that also depend on neighbouring bytes.
    package static func core(of secret: SecretBytes, at offset: Int) -> SecretBytes {
        secret.withBytes { bytes in
            let digits = (8 * offset + 5) / 6..<max((8 * offset + 5) / 6, 8 * (offset + bytes.count) / 6)
            return SecretBytes(capacity: digits.count) { output in
                for digit in digits {
                    let value = (6 * digit - 8 * offset..<6 * digit - 8 * offset + 6).reduce(UInt8(0)) { value, bit in
                        value << 1 | bytes[bit / 8] >> UInt8(7 - bit % 8) & 1
                    }
                    output.append(Base64Alphabet.url.digit(value))
                }
            }
        }
    }

    /// Whether all bytes are in the alphabet of base64url.
    package static func isText(_ bytes: some Sequence<UInt8>) -> Bool {
        bytes.allSatisfy { Base64Alphabet.url.value($0) != nil }
    }
}
