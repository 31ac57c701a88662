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
        let isPlain = !text.utf8.hasAny {
            $0 < 0x20 || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") || $0 == 0x7F
        }
        if isPlain { return output.append(contentsOf: text.utf8) }
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): output += "\\\"".utf8
            case UInt8(ascii: "\\"): output += "\\\\".utf8
            case UInt8(ascii: "\n"): output += "\\n".utf8
            case UInt8(ascii: "\r"): output += "\\r".utf8
            case UInt8(ascii: "\t"): output += "\\t".utf8
            case 0..<0x20, 0x7F:
                let digits = String(byte, radix: 16)
                output += "\\u00\(digits.count == 1 ? "0" : "")\(digits)".utf8
            default: output.append(byte)
            }
        }
    }
}
