import ConfigModel
import PKI

/// Hides secrets that we know in texts of others: a server may quote what it was sent.
struct SecretMask: Sendable {
    private let secrets: [SecretBytes]

    init(_ secrets: [SecretBytes]) {
        self.secrets = secrets.filter { $0.count > 0 }
    }

    /// Hides what an issuer's settings refer to, as far as it can be read.
    init(_ settings: ACMEIssuer, _ reader: SecretReader) {
        self.init(settings.secrets.compactMap { try? reader.read($0) })
    }

    /// The text with asterisks in place of each secret, also where its slashes are written as in JSON.
    func hiding(in text: [UInt8]) -> [UInt8] {
        secrets.reduce(text) { text, secret in secret.withBytes { Self.hiding($0, in: text) } }
    }

    /// The failure with asterisks in place of each secret.
    func hiding(in failure: IssuanceFailure) -> IssuanceFailure {
        func hidden(_ text: String) -> String { String(decoding: hiding(in: Array(text.utf8)), as: UTF8.self) }
        return IssuanceFailure(
            hidden(failure.reason), hint: failure.hint.map(hidden), notBefore: failure.notBefore)
    }

    private static func hiding(_ secret: Span<UInt8>, in text: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var index = 0
        while index < text.count {
            if let end = end(of: secret, in: text, from: index) {
                result += Array("****".utf8)
                index = end
            } else {
                result.append(text[index])
                index += 1
            }
        }
        return result
    }

    /// Where the secret ends that begins at a place; nil when none does.
    private static func end(of secret: Span<UInt8>, in text: [UInt8], from start: Int) -> Int? {
        var index = start
        for place in secret.indices {
            let isEscaped =
                secret[place] == UInt8(ascii: "/") && index + 1 < text.count && text[index] == UInt8(ascii: "\\")
                && text[index + 1] == UInt8(ascii: "/")
            if isEscaped { index += 1 }
            guard index < text.count, text[index] == secret[place] else { return nil }
            index += 1
        }
        return index
    }
}
