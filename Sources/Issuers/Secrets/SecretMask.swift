import ConfigModel
import PKI

/// Hides known secrets in texts of other parties: a server may quote a request, as it was or encoded.
///
/// The bytes of a secret are recognized as they are and in every `EscapeStyle`. The whole secret is also recognized in
/// hex and in both alphabets of base64, even inside a longer encoded text such as the credentials of Basic
/// authentication. If the secret itself is written in base64, as keys are, the same applies to the bytes that it stands
/// for. A text may end within a secret: the secret's first eight bytes suffice there.
struct SecretMask: Sendable {
    private let forms: [SecretForm]
    /// For each byte, the indices of the forms that can begin with it. Most bytes begin no form, so they cost one look.
    private let formsByFirstByte: [[Int]]

    init(_ secrets: [SecretBytes]) {
        let meant = secrets.compactMap { Base64URL.secret($0) }.filter { $0.count >= SecretForm.shortestEncoded }
        let forms = (secrets.filter { $0.count > 0 } + meant).flatMap(SecretForm.all)
        formsByFirstByte = (0...UInt8.max).map { byte in forms.indices.filter { forms[$0].mayBegin(with: byte) } }
        self.forms = forms
    }

    /// Hides the secrets of an issuer's settings. A secret that can't be read is left out.
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
        // Nearly all texts contain no secret, and are not copied.
        return copied == 0 ? text : result + text[copied...]
    }

    /// The text with asterisks in place of each secret.
    func hiding(in text: String) -> String { String(decoding: hiding(in: Array(text.utf8)), as: UTF8.self) }

    /// The failure with asterisks in place of each secret.
    func hiding(in failure: IssuanceFailure) -> IssuanceFailure {
        IssuanceFailure(
            hiding(in: failure.reason), hint: failure.hint.map { hiding(in: $0) }, notBefore: failure.notBefore)
    }

    /// The range of the secret that begins at `start`; of several, the longest.
    private func secret(in text: [UInt8], at start: Int, _ styles: [EscapeStyle]) -> Range<Int>? {
        var longest: Range<Int>?
        for index in formsByFirstByte[Int(text[start])] {
            guard let range = forms[index].range(in: text, from: start, styles) else { continue }
            if longest.map({ $0.upperBound < range.upperBound }) ?? true { longest = range }
        }
        return longest
    }
}
