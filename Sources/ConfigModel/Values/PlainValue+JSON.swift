extension PlainValue {
    /// The value as JSON (RFC 8259) in UTF-8. `indented` puts each entry on its own line.
    package func json(indented: Bool = false) -> [UInt8] {
        var writer = JSONWriter(indented: indented)
        writer.output.reserveCapacity(128)
        writer.write(self)
        return writer.output
    }
}

private struct JSONWriter {
    let indented: Bool
    var output: [UInt8] = []
    private var depth = 0

    init(indented: Bool) { self.indented = indented }

    mutating func write(_ value: PlainValue) {
        switch value {
        case .null: output += "null".utf8
        case .bool(let flag): output += (flag ? "true" : "false").utf8
        case .int(let number): output += String(number).utf8
        case .string(let text): write(text)
        case .list(let items):
            writeCollection(open: "[", close: "]", items) { writer, item in writer.write(item) }
        case .object(let entries):
            writeCollection(open: "{", close: "}", entries) { writer, entry in
                writer.write(entry.key)
                writer.output += (writer.indented ? ": " : ":").utf8
                writer.write(entry.value)
            }
        }
    }

    private mutating func writeCollection<Item>(
        open: Unicode.Scalar, close: Unicode.Scalar, _ items: [Item], _ writeItem: (inout JSONWriter, Item) -> Void
    ) {
        output.append(UInt8(ascii: open))
        depth += 1
        for index in items.indices {
            if index > 0 { output.append(UInt8(ascii: ",")) }
            breakLine()
            writeItem(&self, items[index])
        }
        depth -= 1
        if !items.isEmpty { breakLine() }
        output.append(UInt8(ascii: close))
    }

    private mutating func breakLine() {
        guard indented else { return }
        output.append(UInt8(ascii: "\n"))
        output.append(contentsOf: repeatElement(UInt8(ascii: " "), count: depth * 2))
    }

    private mutating func write(_ text: String) {
        output.append(UInt8(ascii: "\""))
        defer { output.append(UInt8(ascii: "\"")) }
        // 0xC2 and 0xE2 may begin one of the characters that YAML takes for line ends.
        let isPlain = !text.utf8.hasAny {
            $0 < 0x20 || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") || $0 == 0x7F || $0 == 0xC2 || $0 == 0xE2
        }
        if isPlain { return output.append(contentsOf: text.utf8) }
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": output += "\\\"".utf8
            case "\\": output += "\\\\".utf8
            case "\n": output += "\\n".utf8
            case "\r": output += "\\r".utf8
            case "\t": output += "\\t".utf8
            // Records are read as YAML 1.1, which folds lines that end with U+0085, U+2028 or U+2029.
            case "\0"..<" ", "\u{7F}", "\u{85}", "\u{2028}", "\u{2029}":
                let digits = String(scalar.value, radix: 16)
                output += "\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)".utf8
            default: output.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
            }
        }
    }
}
