import PKI

/// A secret in one of the encodings in which a text may contain it: plain, hex or base64.
struct SecretForm: Sendable {
    private enum Encoding {
        case plain
        case hex
        /// `isInside` is true if the secret begins within a group of three bytes. Then the base64 character before the
        /// form contains bits of the secret too.
        case base64(isInside: Bool)

        /// The number of bytes that suffice to recognize the secret if a text ends within it. They encode eight bytes
        /// of the secret.
        var shortestPrefix: Int {
            switch self {
            case .plain: 8
            case .hex: 16
            case .base64: 11
            }
        }
    }

    /// The minimum length of a secret in bytes for the search in hex and base64. The encoding of a shorter secret could
    /// occur by chance.
    static let shortestEncoded = 6

    /// The minimum length of a secret in bytes for the search in other case, since a server may quote a secret in
    /// capitals. A shorter secret may also be a word.
    private static let shortestAnyCase = 12

    /// A secret with fewer bytes is found only as a word of its own, since its letters may also occur within other
    /// words.
    private static let shortestPart = 4

    private let bytes: SecretBytes
    private let encoding: Encoding

    /// Returns a secret in every encoding to search for. The secret must not be empty.
    static func all(of secret: SecretBytes) -> [SecretForm] {
        let plain = SecretForm(bytes: secret, encoding: .plain)
        guard secret.count >= shortestEncoded else { return [plain] }
        let base64 = (0..<3).map { offset in
            SecretForm(bytes: Base64URL.core(of: secret, at: offset), encoding: .base64(isInside: offset > 0))
        }
        return [plain, SecretForm(bytes: Hex.digits(of: secret), encoding: .hex)] + base64
    }

    /// Whether this form can begin with a byte. If it can't, the search skips the comparison.
    func mayBegin(with byte: UInt8) -> Bool {
        EscapeStyle.beginnings.contains(byte) || byte == Self.unshown[0] || bytes.withBytes { isSame(byte, $0[0]) }
    }

    /// Returns the range of this form if it begins at `start`. In base64, the range includes the characters at both
    /// ends that contain bits of the secret, and the padding.
    func range(in text: [UInt8], from start: Int, _ styles: [EscapeStyle]) -> Range<Int>? {
        guard let end = end(in: text, from: start, styles) else { return nil }
        if bytes.count < Self.shortestPart {
            let isLetter = { (index: Int) in text.indices.contains(index) && Self.isWord(text[index]) }
            return isLetter(start - 1) || isLetter(end) ? nil : start..<end
        }
        guard case .base64(let isInside) = encoding else { return start..<end }
        let digits = { (byte: UInt8) in Self.isBase64(byte) }
        let lower = isInside ? Self.start(ofOne: digits, before: start, in: text, styles) : start
        var upper = Self.end(ofOne: digits, at: end, in: text, styles)
        while case let next = Self.end(ofOne: { $0 == UInt8(ascii: "=") }, at: upper, in: text, styles), next > upper {
            upper = next
        }
        return lower..<upper
    }

    /// Returns the end of the byte at `index`, which may be escaped, if `isWanted` accepts the byte. Otherwise returns
    /// `index`.
    private static func end(
        ofOne isWanted: (UInt8) -> Bool, at index: Int, in text: [UInt8], _ styles: [EscapeStyle]
    ) -> Int {
        guard index < text.count else { return index }
        for style in styles {
            if let (byte, length) = style.escape(in: text, at: index), isWanted(byte) { return index + length }
        }
        return isWanted(text[index]) ? index + 1 : index
    }

    /// Returns the start of the byte that ends before `index`, which may be escaped, if `isWanted` accepts the byte.
    /// Otherwise returns `index`.
    private static func start(
        ofOne isWanted: (UInt8) -> Bool, before index: Int, in text: [UInt8], _ styles: [EscapeStyle]
    ) -> Int {
        // The longest escape is tried first. Otherwise its last digit would count as a byte without escape.
        for start in stride(from: max(0, index - EscapeStyle.longest), to: index, by: 1) {
            if end(ofOne: isWanted, at: start, in: text, styles) == index { return start }
        }
        return index
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

    /// Compares the text at `start` with the secret. Returns the end of the match, or nil if the text differs from the
    /// secret. If the text ends within the secret, the end of the text is returned, and `isWhole` is false.
    private func match(
        _ secret: Span<UInt8>, in text: [UInt8], from start: Int, _ style: EscapeStyle
    ) -> (end: Int?, isWhole: Bool) {
        var index = start
        // The bytes of an escaped character that are still to be compared.
        var pending: ArraySlice<UInt8> = []
        for place in secret.indices {
            if let byte = pending.popFirst() {
                guard byte == secret[place] else { return (nil, false) }
                continue
            }
            if index < text.count, let (byte, length) = style.escape(in: text, at: index), isSame(byte, secret[place]) {
                index += length
            } else if case .plain = encoding, index < text.count,
                let (scalar, length) = style.scalar(in: text, at: index),
                scalar.value >= 0x80, UTF8.encode(scalar)?.first == secret[place]
            {
                pending = Array(UTF8.encode(scalar) ?? UTF8.EncodedScalar()).dropFirst()
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

    /// U+FFFD in UTF-8, with which `oneLine` replaces invisible characters.
    private static let unshown: [UInt8] = [0xEF, 0xBF, 0xBD]

    /// Whether the text ends at `index`, apart from marks: a part of an escape, and then quotes, brackets or dots.
    /// After an ellipsis, any text may follow, such as "(truncated)".
    private static func hasEnded(_ text: [UInt8], at index: Int) -> Bool {
        var rest = text[index...]
        if let first = rest.first, EscapeStyle.halves.contains(first), rest.count <= longestHalf {
            rest = rest.dropFirst().drop { isBase64($0) || "#\\".utf8.contains($0) }
        }
        if rest.starts(with: "...".utf8) || rest.starts(with: "\u{2026}".utf8) { return true }
        return rest.count <= 8 && rest.allSatisfy { $0 >= 0x80 || "\"'`)]}>.".utf8.contains($0) }
    }

    /// The maximum length of a part of an escape together with the marks after it, in bytes.
    private static let longestHalf = 16

    private func isSame(_ byte: UInt8, _ secret: UInt8) -> Bool {
        switch encoding {
        case .plain:
            byte == secret
                || byte ^ 0x20 == secret && bytes.count >= Self.shortestAnyCase
                    && UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20
        case .hex: byte == secret || byte | 0x20 == secret && secret >= UInt8(ascii: "a")
        case .base64:
            switch byte {
            case UInt8(ascii: "+"): secret == UInt8(ascii: "-")
            case UInt8(ascii: "/"): secret == UInt8(ascii: "_")
            default: byte == secret
            }
        }
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        byte >= 0x80 || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
            || UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20
    }

    private static func isBase64(_ byte: UInt8) -> Bool {
        Base64URL.isText(CollectionOfOne(byte)) || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "/")
    }
}
