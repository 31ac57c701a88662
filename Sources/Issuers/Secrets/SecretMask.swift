import ConfigModel
import PKI

/// Hides secrets that we know in texts of others: a server may quote what it was sent, as it is or encoded.
///
/// Each byte of a secret is known as it is and in every `EscapeStyle`; the whole also in hex and in base64, of either alphabet and
/// in the midst of something longer, such as the credentials of Basic authentication. Of a secret that is written in base64, as
/// keys are, the bytes that it stands for are known likewise. A text may end within a secret: there its first eight bytes are
/// enough.
struct SecretMask: Sendable {
    private let forms: [SecretForm]
    /// The forms that may begin with each byte, by their indices. Most bytes of a text begin none, so that they cost one look.
    private let formsByFirstByte: [[Int]]

    init(_ secrets: [SecretBytes]) {
        let meant = secrets.compactMap { Base64URL.secret($0) }.filter { $0.count >= SecretForm.shortestEncoded }
        let forms = (secrets.filter { $0.count > 0 } + meant).flatMap(SecretForm.all)
        formsByFirstByte = (0...UInt8.max).map { byte in forms.indices.filter { forms[$0].mayBegin(with: byte) } }
        self.forms = forms
    }

    /// Hides what an issuer's settings refer to, as far as it can be read.
    init(_ settings: ACMEIssuer, _ reader: SecretReader) {
        self.init(settings.secrets.compactMap { try? reader.read($0) })
    }

    /// The text with asterisks in place of each secret.
    func hiding(in text: [UInt8]) -> [UInt8] {
        let styles = EscapeStyle.all(in: text)
        var result: [UInt8] = []
        var copied = 0
        var index = 0
        while index < text.count {
            guard let secret = secret(in: text, at: index, styles) else {
                index += 1
                continue
            }
            result += text[copied..<max(copied, secret.lowerBound)]
            result += Array("****".utf8)
            copied = secret.upperBound
            index = copied
        }
        // Nearly all texts have none: these are not copied.
        return copied == 0 ? text : result + text[copied...]
    }

    /// The same for a text.
    func hiding(in text: String) -> String { String(decoding: hiding(in: Array(text.utf8)), as: UTF8.self) }

    /// The failure with asterisks in place of each secret.
    func hiding(in failure: IssuanceFailure) -> IssuanceFailure {
        IssuanceFailure(
            hiding(in: failure.reason), hint: failure.hint.map { hiding(in: $0) }, notBefore: failure.notBefore)
    }

    /// Where a secret stands that begins at a place: the longest, of several.
    private func secret(in text: [UInt8], at start: Int, _ styles: [EscapeStyle]) -> Range<Int>? {
        var longest: Range<Int>?
        for index in formsByFirstByte[Int(text[start])] {
            guard let range = forms[index].range(in: text, from: start, styles) else { continue }
            if longest.map({ $0.upperBound < range.upperBound }) ?? true { longest = range }
        }
        return longest
    }
}
