/// Finds faults in the text itself before YAML is parsed, since libyaml's messages about them don't help.
enum YAMLTextCheck {
    /// The first fault; nil when the text is UTF-8 without characters that YAML forbids.
    static func fault(in source: SourceText) -> Diagnostic? {
        let bytes = source.bytes
        guard bytes.count <= SourceText.maxBytes else {
            return Diagnostic(.error, at: .start, "the file is larger than 64 MiB, the most that is read")
        }
        if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
            return Diagnostic(.error, at: .start, "the file is UTF-16", hint: "save it as UTF-8")
        }
        do throws(UTF8.ValidationError) {
            _ = try UTF8Span(validating: bytes.span)
        } catch {
            let position = source.position(ofByte: error.byteOffsets.lowerBound)
            return Diagnostic(.error, at: position, "invalid UTF-8", hint: "save the file as UTF-8")
        }
        return forbiddenCharacter(in: source)
    }

    private static func forbiddenCharacter(in source: SourceText) -> Diagnostic? {
        let bytes = source.bytes
        for (index, byte) in bytes.enumerated() where byte < 0x20 || byte == 0x7F || byte == 0xC2 || byte == 0xE2 {
            switch byte {
            case UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "\t"): continue
            case 0:
                return Diagnostic(.error, at: source.position(ofByte: index), "NUL byte", hint: "is this a text file?")
            case 0xC2 where bytes[index + 1] >= 0xA0: continue
            case 0xE2 where bytes[index + 1] != 0x80 || bytes[index + 2] & 0xFE != 0xA8: continue
            default:
                // U+0085, U+2028 and U+2029 are refused too: YAML 1.1 takes them for line ends, but editors don't.
                let scalar =
                    String(decoding: bytes[index..<min(index + 3, bytes.count)], as: UTF8.self)
                    .unicodeScalars.first?.value ?? 0
                let digits = String(scalar, radix: 16, uppercase: true)
                let code = String(repeating: "0", count: 4 - digits.count) + digits
                return Diagnostic(
                    .error, at: source.position(ofByte: index), "control character U+\(code)",
                    hint: "remove it, or write \"\\u\(code)\" in double quotes")
            }
        }
        return nil
    }
}
