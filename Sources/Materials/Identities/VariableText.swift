import PKI

/// Decodes PEM from an environment variable. The value may be plain PEM, PEM with line ends written as `\n`, or base64
/// of PEM. Messages never contain the value.
enum VariableText {
    /// The longest value in bytes: base64 of 1 MiB.
    private static let maximumBytes = 3 << 19
    private static let backslash = UInt8(ascii: "\\")
    private static let begin = Array("-----BEGIN ".utf8)
    private static let end = Array("-----END ".utf8)

    static func pem(_ value: SecretBytes) throws(IdentityFault) -> SecretBytes {
        guard value.count <= maximumBytes else { throw IdentityFault("its value is larger than 1 MiB") }
        let text = withLineEnds(value)
        if let start = offset(of: begin, in: text) {
            guard offset(of: end, in: text, from: start, inLine: true) == nil else {
                throw IdentityFault(
                    "its lines have been joined to one: keep the line ends, write them as \\n, or set base64 of the PEM"
                )
            }
            return text
        }
        guard let decoded = Base64.secret(withoutBlanks(text)) else {
            throw IdentityFault("its value is neither PEM nor base64 of PEM")
        }
        guard offset(of: begin, in: decoded) != nil else {
            throw IdentityFault("its value is base64, but of something other than PEM")
        }
        return decoded
    }

    /// The value with a line feed in place of each `\n` (two characters), and without each `\r`.
    private static func withLineEnds(_ value: SecretBytes) -> SecretBytes {
        value.withBytes { bytes in
            SecretBytes(capacity: bytes.count) { output in
                var index = 0
                while index < bytes.count {
                    let next = index + 1 < bytes.count ? bytes[index + 1] : 0
                    switch (bytes[index], next) {
                    case (backslash, UInt8(ascii: "n")):
                        output.append(UInt8(ascii: "\n"))
                        index += 2
                    case (backslash, UInt8(ascii: "r")): index += 2
                    case (let byte, _):
                        output.append(byte)
                        index += 1
                    }
                }
            }
        }
    }

    /// base64(1) breaks its output into lines, so white space is removed.
    private static func withoutBlanks(_ text: SecretBytes) -> SecretBytes {
        text.withBytes { bytes in
            SecretBytes(capacity: bytes.count) { output in
                for index in bytes.indices where bytes[index] > 0x20 { output.append(bytes[index]) }
            }
        }
    }

    /// The offset at which a part first occurs in a text. With `inLine`, the search ends at the end of the line in
    /// which it begins.
    private static func offset(
        of part: [UInt8], in text: SecretBytes, from start: Int = 0, inLine: Bool = false
    ) -> Int? {
        text.withBytes { bytes in
            for offset in start..<max(start, bytes.count - part.count + 1) {
                if inLine, bytes[offset] == UInt8(ascii: "\n") || bytes[offset] == UInt8(ascii: "\r") { return nil }
                if part.indices.allSatisfy({ bytes[offset + $0] == part[$0] }) { return offset }
            }
            return nil
        }
    }
}
