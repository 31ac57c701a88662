/// Byte counts as the file writes them: a number and `B`, `KiB`, `MiB` or `GiB`.
enum ByteSize {
    private static let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)]
    static let unitPattern = "(B|KiB|MiB|GiB)"

    static func parse(_ text: String) throws(ValueFault) -> Int {
        let (digits, unit) = Quantity.split(text)
        guard let number = Int(digits) else {
            throw ValueFault("bad size \(text.quotedForMessage)", hint: "write a number and a unit, such as 10MiB")
        }
        guard let factor = units.first(where: { $0.0 == unit })?.1 else {
            let letter = unit.lowercased().first { $0 != " " }
            let meant = units.first { $0.0.lowercased().first == letter }
            let hint = meant.map { "did you mean \(digits)\($0.0)?" } ?? "units are B, KiB, MiB and GiB"
            throw ValueFault("unknown unit \(unit.quotedForMessage) in \(text.quotedForMessage)", hint: hint)
        }
        let (bytes, overflows) = number.multipliedReportingOverflow(by: factor)
        guard !overflows else { throw ValueFault("size \(text.quotedForMessage) is too large") }
        return bytes
    }

    static func format(_ bytes: Int) -> String {
        guard bytes > 0 else { return "0" }
        let (name, factor) = units.first { bytes % $0.1 == 0 } ?? ("B", 1)
        return "\(bytes / factor)\(name)"
    }
}

/// Splits a text such as `10MiB` into a number and a unit.
enum Quantity {
    static func split(_ text: String) -> (digits: String, unit: String) {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        return (String(digits), String(text.dropFirst(digits.count)))
    }
}

extension ValueShape where Value == Int {
    /// A number with a unit such as `10MiB`, within a range; 0 needs no unit.
    static func byteSize(in range: ClosedRange<Int>) -> ValueShape {
        quantity(
            "a size with a unit", units: "B, KiB, MiB or GiB", unitPattern: ByteSize.unitPattern, example: "10MiB",
            range: range, parse: ByteSize.parse, format: ByteSize.format, zero: 0)
    }
}

extension ValueShape where Value: Comparable {
    /// The shape of a number with a unit; a bare `0` needs no unit.
    static func quantity(
        _ expected: String, units: String, unitPattern: String, example: String, range: ClosedRange<Value>,
        parse: @escaping @Sendable (String) throws(ValueFault) -> Value,
        format: @escaping @Sendable (Value) -> String, zero: Value
    ) -> ValueShape {
        let bounds = "\(format(range.lowerBound)) to \(format(range.upperBound))"
        let allowsZero = range.contains(zero)
        let example = (try? parse(example)).map { range.contains($0) } ?? false ? example : format(range.lowerBound)
        return ValueShape(
            schema: .quantity("From \(bounds)", unitPattern: unitPattern, example: example, allowsZero: allowsZero),
            read: { node, reader in
                reader.show(node)
                let written = reader.scalarText(of: node)
                if reader.type(of: node) != .text, written != "0" {
                    let isNumber = !written.isEmpty && written.allSatisfy { $0.isASCII && $0.isNumber }
                    let hint = isNumber ? "add a unit: \(units), such as \(example)" : "write it like \(example)"
                    reader.failExpecting(expected, at: node, quoting: true, hint: hint)
                    return nil
                }
                do throws(ValueFault) {
                    let value = written == "0" ? zero : try parse(written)
                    guard range.contains(value) else {
                        throw ValueFault("\(written.quotedForMessage) is out of range", hint: "allowed are \(bounds)")
                    }
                    return value
                } catch {
                    reader.fail(node, error.message, hint: error.hint)
                    return nil
                }
            },
            write: { value, _ in .string(format(value)) })
    }
}
