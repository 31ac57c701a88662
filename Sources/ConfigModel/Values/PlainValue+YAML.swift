extension PlainValue {
    /// The value as YAML in block style, for people to read and edit. Ends with a line end.
    package func yaml() -> String {
        var lines: [String] = []
        write(to: &lines, indent: 0, prefix: "")
        return lines.joined(separator: "\n") + "\n"
    }

    /// Adds the lines of a value that starts on a new line. The first line begins with `prefix`, such as `- `. The
    /// other lines are indented by the same width.
    private func write(to lines: inout [String], indent: Int, prefix: String) {
        let margin = String(repeating: " ", count: indent)
        switch self {
        case .object(let entries) where !entries.isEmpty:
            for (index, entry) in entries.enumerated() {
                let start = margin + (index == 0 ? prefix : String(repeating: " ", count: prefix.count))
                let key = Self.word(entry.key)
                if entry.value.isBlock {
                    lines.append("\(start)\(key):")
                    entry.value.write(to: &lines, indent: indent + prefix.count + 2, prefix: "")
                } else {
                    lines.append("\(start)\(key): \(entry.value.flow)")
                }
            }
        case .list(let items) where isBlock:
            for item in items { item.write(to: &lines, indent: indent, prefix: prefix + "- ") }
        default: lines.append("\(margin)\(prefix)\(flow)")
        }
    }

    /// Whether the value is written on lines of its own. Values without objects inside are written on one line.
    private var isBlock: Bool {
        switch self {
        case .object(let entries): !entries.isEmpty
        case .list(let items): items.contains { if case .object = $0 { true } else { false } }
        default: false
        }
    }

    private var flow: String {
        switch self {
        case .string(let text): Self.word(text)
        case .list(let items): "[\(items.map(\.flow).joined(separator: ", "))]"
        default: String(decoding: json(), as: UTF8.self)
        }
    }

    /// Words that readers of YAML 1.1 read as booleans.
    private static let formerBooleans: Set<String> = ["y", "n", "yes", "no", "on", "off"]

    /// A text as YAML: without quotes if YAML reads it as this text, otherwise in quotes.
    private static func word(_ text: String) -> String {
        let isPlain =
            text.utf8.first.map { ($0 | 0x20) >= UInt8(ascii: "a") && ($0 | 0x20) <= UInt8(ascii: "z") } == true
            && text.utf8.allSatisfy { byte in
                byte < 0x80
                    && (Character(Unicode.Scalar(byte)).isLetter || Character(Unicode.Scalar(byte)).isNumber
                        || [UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_")].contains(byte))
            } && !formerBooleans.contains(text.lowercased()) && YAMLScalarType(plain: Array(text.utf8)[...]) == .text
        return isPlain ? text : String(decoding: PlainValue.string(text).json(), as: UTF8.self)
    }
}
