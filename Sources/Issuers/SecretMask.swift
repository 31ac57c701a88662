import ConfigModel
import PKI

/// Hides secrets that we know in texts of others: a server may quote what it was sent, as it is or encoded.
///
/// Each byte of a secret is known as it is, percent-encoded, and as JSON escapes it; the whole also in hex and in base64, of either
/// alphabet and in the midst of something longer, such as the credentials of Basic authentication. Of a secret that is written in
/// base64, as keys are, the bytes that it stands for are known likewise.
struct SecretMask: Sendable {
    /// A secret as it may be written.
    private struct Form: Sendable {
        let bytes: SecretBytes
        let encoding: Encoding
    }

    private enum Encoding {
        case plain
        case hex
        /// `isInside`: the digit before it may hold bits of the secret.
        case base64(isInside: Bool)
    }

    /// Shorter ones are not looked for in hex and base64, where their few digits could be anything.
    private static let shortestEncoded = 6

    private let forms: [Form]

    init(_ secrets: [SecretBytes]) {
        let meant = secrets.compactMap { Base64URL.secret($0) }.filter { $0.count >= Self.shortestEncoded }
        forms = (secrets.filter { $0.count > 0 } + meant).flatMap(Self.forms)
    }

    /// Hides what an issuer's settings refer to, as far as it can be read.
    init(_ settings: ACMEIssuer, _ reader: SecretReader) {
        self.init(settings.secrets.compactMap { try? reader.read($0) })
    }

    private static func forms(of secret: SecretBytes) -> [Form] {
        let plain = Form(bytes: secret, encoding: .plain)
        guard secret.count >= shortestEncoded else { return [plain] }
        let base64 = (0..<3).map { offset in
            Form(bytes: Base64URL.core(of: secret, at: offset), encoding: .base64(isInside: offset > 0))
        }
        return [plain, Form(bytes: Hex.digits(of: secret), encoding: .hex)] + base64
    }

    /// The text with asterisks in place of each secret.
    func hiding(in text: [UInt8]) -> [UInt8] {
        forms.reduce(text) { text, form in
            form.bytes.withBytes { bytes in
                // Nearly all texts have none: these are not copied.
                guard let first = text.indices.first(where: { Self.end(of: bytes, form, in: text, from: $0) != nil })
                else { return text }
                return Self.hiding(bytes, form, in: text, from: first)
            }
        }
    }

    /// The same for a text.
    func hiding(in text: String) -> String { String(decoding: hiding(in: Array(text.utf8)), as: UTF8.self) }

    /// The failure with asterisks in place of each secret.
    func hiding(in failure: IssuanceFailure) -> IssuanceFailure {
        IssuanceFailure(
            hiding(in: failure.reason), hint: failure.hint.map { hiding(in: $0) }, notBefore: failure.notBefore)
    }

    private static func hiding(_ secret: Span<UInt8>, _ form: Form, in text: [UInt8], from first: Int) -> [UInt8] {
        var result = Array(text[..<first])
        var index = first
        while index < text.count {
            guard let end = end(of: secret, form, in: text, from: index) else {
                result.append(text[index])
                index += 1
                continue
            }
            index = end
            if case .base64(let isInside) = form.encoding {
                if isInside, let last = result.last, isBase64(last) { result.removeLast() }
                // The digit that holds the secret's last bits, and padding.
                if index < text.count, isBase64(text[index]) { index += 1 }
                while index < text.count, text[index] == UInt8(ascii: "=") { index += 1 }
            }
            result += Array("****".utf8)
        }
        return result
    }

    /// Where the secret ends that begins at a place; nil when none does.
    private static func end(of secret: Span<UInt8>, _ form: Form, in text: [UInt8], from start: Int) -> Int? {
        // What looks like an escape may be the secret's own.
        end(of: secret, form, in: text, from: start, isEscaped: true)
            ?? end(of: secret, form, in: text, from: start, isEscaped: false)
    }

    private static func end(
        of secret: Span<UInt8>, _ form: Form, in text: [UInt8], from start: Int, isEscaped: Bool
    ) -> Int? {
        var index = start
        for place in secret.indices {
            guard index < text.count else { return nil }
            if isEscaped, let (byte, length) = escape(in: text, at: index), isSame(byte, secret[place], form.encoding) {
                index += length
            } else if isSame(text[index], secret[place], form.encoding) {
                index += 1
            } else if !(0x20..<0x7F ~= secret[place]), text[index...].starts(with: unshown) {
                index += unshown.count
            } else {
                return nil
            }
        }
        return index
    }

    /// What stands in a line in place of what can't be shown: U+FFFD.
    private static let unshown: [UInt8] = [0xEF, 0xBF, 0xBD]

    /// The byte that an escape of URLs or JSON, or a character up to U+00FF, stands for, and how long it is; nil where there is none.
    private static func escape(in text: [UInt8], at index: Int) -> (byte: UInt8, length: Int)? {
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

    private static func isSame(_ byte: UInt8, _ secret: UInt8, _ encoding: Encoding) -> Bool {
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
