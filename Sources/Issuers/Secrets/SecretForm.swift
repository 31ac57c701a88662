import PKI

/// A secret in one of the forms in which a text may contain it.
struct SecretForm: Sendable {
    private enum Encoding {
        case plain
        case hex
        /// `isInside`: the secret begins inside a group of three bytes, so the digit before the form may contain bits
        /// of it.
        case base64(isInside: Bool)

        /// How many bytes of the form suffice to recognize a secret when the text ends within it. They stand for eight
        /// bytes of the secret.
        var shortestPrefix: Int {
            switch self {
            case .plain: 8
            case .hex: 16
            case .base64: 11
            }
        }
    }

    /// The length of the shortest secret that is searched for in hex and base64. The few digits of a shorter one could
    /// occur by chance.
    static let shortestEncoded = 6

    private let bytes: SecretBytes
    private let encoding: Encoding

    /// All forms of a secret. The secret must not be empty.
    static func all(of secret: SecretBytes) -> [SecretForm] {
        let plain = SecretForm(bytes: secret, encoding: .plain)
        guard secret.count >= shortestEncoded else { return [plain] }
        let base64 = (0..<3).map { offset in
            SecretForm(bytes: Base64URL.core(of: secret, at: offset), encoding: .base64(isInside: offset > 0))
        }
        return [plain, SecretForm(bytes: Hex.digits(of: secret), encoding: .hex)] + base64
    }

    /// Whether the form can begin with a byte. If not, there is no need to compare it there.
    func mayBegin(with byte: UInt8) -> Bool {
        EscapeStyle.beginnings.contains(byte) || byte == Self.unshown[0] || bytes.withBytes { isSame(byte, $0[0]) }
    }

    /// The range of the form if it begins at `start`. In base64 the range includes the digits that contain the secret's
    /// first and last bits, and the padding.
    func range(in text: [UInt8], from start: Int, _ styles: [EscapeStyle]) -> Range<Int>? {
        guard let end = end(in: text, from: start, styles) else { return nil }
        guard case .base64(let isInside) = encoding else { return start..<end }
        let hasBefore = isInside && start > 0 && Self.isBase64(text[start - 1])
        var upper = end
        if upper < text.count, Self.isBase64(text[upper]) { upper += 1 }
        while upper < text.count, text[upper] == UInt8(ascii: "=") { upper += 1 }
        return (hasBefore ? start - 1 : start)..<upper
    }

    private func end(in text: [UInt8], from start: Int, _ styles: [EscapeStyle]) -> Int? {
        bytes.withBytes { secret in
            var cut: Int?
            for style in styles {
                let (index, isWhole) = match(secret, in: text, from: start, style)
                if isWhole { return index }
                cut = cut ?? index
            }
            return cut
        }
    }

    /// The end of the secret at `start`, or of its part if the text ends within it; nil where the text differs from the
    /// secret.
    private func match(
        _ secret: Span<UInt8>, in text: [UInt8], from start: Int, _ style: EscapeStyle
    ) -> (end: Int?, isWhole: Bool) {
        var index = start
        for place in secret.indices {
            if index < text.count, let (byte, length) = style.escape(in: text, at: index), isSame(byte, secret[place]) {
                index += length
            } else if index < text.count, isSame(text[index], secret[place]) {
                // The secret itself may contain bytes that look like an escape.
                index += 1
            } else if !(0x20..<0x7F ~= secret[place]), text[index...].starts(with: Self.unshown) {
                index += Self.unshown.count
            } else {
                let isCut = place >= encoding.shortestPrefix && Self.hasEnded(text, at: index)
                return (isCut ? index : nil, false)
            }
        }
        return (index, true)
    }

    /// U+FFFD, which replaces an unprintable byte in a line.
    private static let unshown: [UInt8] = [0xEF, 0xBF, 0xBD]

    /// Whether the rest of the text only marks its end: a part of an escape, then quotes, brackets or dots. After an
    /// ellipsis, anything may follow, such as "(truncated)".
    private static func hasEnded(_ text: [UInt8], at index: Int) -> Bool {
        var rest = text[index...]
        if let first = rest.first, EscapeStyle.halves.contains(first), rest.count <= longestHalf {
            rest = rest.dropFirst().drop { isBase64($0) || $0 == UInt8(ascii: "#") }
        }
        if rest.starts(with: "...".utf8) || rest.starts(with: "\u{2026}".utf8) { return true }
        return rest.count <= 8 && rest.allSatisfy { $0 >= 0x80 || "\"'`)]}>.".utf8.contains($0) }
    }

    /// The most bytes that a part of an escape and the marks after it may have.
    private static let longestHalf = 16

    private func isSame(_ byte: UInt8, _ secret: UInt8) -> Bool {
        switch encoding {
        case .plain: byte == secret
        case .hex: byte == secret || byte | 0x20 == secret && secret >= UInt8(ascii: "a")
        case .base64:
            switch byte {
            case UInt8(ascii: "+"): secret == UInt8(ascii: "-")
            case UInt8(ascii: "/"): secret == UInt8(ascii: "_")
            default: byte == secret
            }
        }
    }

    private static func isBase64(_ byte: UInt8) -> Bool {
        Base64URL.isText(CollectionOfOne(byte)) || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "/")
    }
}
