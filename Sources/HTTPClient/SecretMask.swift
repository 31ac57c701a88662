import PKI

/// Hides known secrets in texts from servers, since a server may quote a request, perhaps in encoded form.
///
/// A secret is found unescaped and with each `EscapeStyle`, and a long one in other case too. It is also found in hex and in both alphabets of base64,
/// even within a longer encoded text such as the credentials of Basic authentication. If a secret is itself base64, the
/// bytes that it encodes are searched for too. If a text ends within a secret, the first eight bytes are enough to find
/// it. A secret of a few bytes is found only as a word of its own.
package struct SecretMask: Sendable {
    private let forms: [SecretForm]
    /// For each byte, the indices of the forms that can begin with it. Most bytes begin no form, so this table makes
    /// the search fast.
    private let formsByFirstByte: [[Int]]

    package init(_ secrets: [SecretBytes]) {
        let meant = secrets.compactMap { Base64URL.secret($0) }.filter { $0.count >= SecretForm.shortestEncoded }
        let forms = (secrets.filter { $0.count > 0 } + meant).flatMap(SecretForm.all)
        formsByFirstByte = (0...UInt8.max).map { byte in forms.indices.filter { forms[$0].mayBegin(with: byte) } }
        self.forms = forms
    }

    /// Replaces each secret in a text by asterisks.
    package func hiding(in text: [UInt8]) -> [UInt8] {
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
        // Most texts contain no secret, and these are not copied.
        return copied == 0 ? text : result + text[copied...]
    }

    /// Replaces each secret in a text by asterisks.
    package func hiding(in text: String) -> String { String(decoding: hiding(in: Array(text.utf8)), as: UTF8.self) }

    /// Returns the range of a secret that begins at `start`. If several secrets match, returns the longest range.
    private func secret(in text: [UInt8], at start: Int, _ styles: [EscapeStyle]) -> Range<Int>? {
        var longest: Range<Int>?
        for index in formsByFirstByte[Int(text[start])] {
            guard let range = forms[index].range(in: text, from: start, styles) else { continue }
            if longest.map({ $0.upperBound < range.upperBound }) ?? true { longest = range }
        }
        return longest
    }
}
