extension ValueShape where Value == Bool {
    /// The shape of `true` and `false`.
    static let flag = ValueShape(
        schema: SchemaFragment([("type", .string("boolean"))]),
        read: { node, reader in
            reader.show(node)
            if case .bool(let flag) = reader.type(of: node) { return flag }
            let word = reader.string(of: node)?.lowercased() ?? ""
            let meant = ["yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"]
            reader.failExpecting("true or false", at: node, quoting: true, hint: meant[word].map { "write \($0)" })
            return nil
        },
        write: { flag, _ in .bool(flag) })
}

extension ValueShape where Value == Int {
    static func integer(in range: ClosedRange<Int>) -> ValueShape {
        ValueShape(
            schema: SchemaFragment([
                ("type", .string("integer")), ("minimum", .int(range.lowerBound)), ("maximum", .int(range.upperBound)),
            ]),
            read: { node, reader in
                let expected = "a whole number from \(range.lowerBound) to \(range.upperBound)"
                guard let number = number(of: node, &reader), range.contains(number) else {
                    reader.failExpecting(expected, at: node, quoting: true)
                    return nil
                }
                return number
            },
            write: { number, _ in .int(number) })
    }

    /// The value of an integer in any notation of YAML (core schema, YAML 1.2 section 10.3.2); nil for any other node.
    private static func number(of node: NodeID, _ reader: inout ModelReader) -> Int? {
        reader.show(node)
        guard reader.type(of: node) == .integer else { return nil }
        let text = reader.document.string(of: node)
        if text.hasPrefix("0x") { return Int(text.dropFirst(2), radix: 16) }
        if text.hasPrefix("0o") { return Int(text.dropFirst(2), radix: 8) }
        return Int(text)
    }

    /// A whole number from a list of allowed numbers.
    static func integer(oneOf allowed: [Int]) -> ValueShape {
        let list = allowed.map(String.init).joined(separator: ", ")
        return ValueShape(
            schema: SchemaFragment([("enum", .list(allowed.map(PlainValue.int)))]),
            read: { node, reader in
                guard let number = number(of: node, &reader), allowed.contains(number) else {
                    reader.failExpecting("one of \(list)", at: node, quoting: true)
                    return nil
                }
                return number
            },
            write: { number, _ in .int(number) })
    }
}

extension ValueShape where Value == String {
    /// Any text within a range of lengths, without NUL.
    static func string(
        _ expected: String, lengths: ClosedRange<Int> = 1...4096, pattern: String? = nil, examples: [String] = [],
        check: @escaping @Sendable (String) throws(ValueFault) -> Void = { (_) throws(ValueFault) in }
    ) -> ValueShape {
        .text(
            expected,
            .string(
                expected, pattern: pattern, examples: examples,
                keywords: lengths.lowerBound > 0 ? [("minLength", .int(lengths.lowerBound))] : []),
            parse: { (text) throws(ValueFault) in
                guard lengths.contains(text.utf8.count) else {
                    throw ValueFault(
                        text.isEmpty
                            ? "expected \(expected), found an empty text" : "longer than \(lengths.upperBound) bytes")
                }
                guard !text.utf8.contains(0) else { throw ValueFault("NUL is not allowed here") }
                try check(text)
                return text
            },
            format: { $0 })
    }

    /// A name of an issuer, certificate, identity or Vault: letters, digits, '-', '_' and '.'.
    static let name = string(
        "a name", lengths: 1...100, pattern: "^[A-Za-z0-9_][A-Za-z0-9._-]*$",
        check: { (text) throws(ValueFault) in
            guard Name.isValid(text) else {
                throw ValueFault(
                    "bad name \(text.quotedForMessage)", hint: "names are made of letters, digits, '-', '_' and '.'")
            }
        })

    /// A path in the file system. A relative path is relative to the configuration file.
    static let path = string(
        "a path", examples: ["certs/shop.pem"], check: { (text) throws(ValueFault) in try FilePathText.check(text) })

    /// An e-mail address. Only its rough form is checked: one '@' between two parts without white space,
    /// ':', ',' and '?'.
    static let email = string(
        "an e-mail address", pattern: "^[^@:,?\\s]+@[^@:,?\\s]+$", examples: ["ops@example.com"],
        check: { (text) throws(ValueFault) in
            let parts = text.split(separator: "@", omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty, !text.contains(where: \.isWhitespace),
                !text.contains(where: { ":,?".contains($0) })
            else { throw ValueFault("bad e-mail address \(text.quotedForMessage)") }
        })
}

/// The rules for paths in the file.
enum FilePathText {
    /// Refuses empty and overlong texts, and control characters: no real path has them, but a PEM text given by mistake
    /// has line breaks.
    static func check(_ text: String) throws(ValueFault) {
        guard !text.isEmpty, text.utf8.count <= 4096, text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
            throw ValueFault("expected a path, found a text that can be none")
        }
    }
}

/// The rules for names of environment variables (`isVariable`), and for names of issuers, certificates and servers
/// (`isValid`).
enum Name {
    /// Whether a text can be the name of an environment variable (POSIX).
    static func isVariable(_ text: String) -> Bool {
        let bytes = text.utf8
        guard let first = bytes.first, !(0x30...0x39).contains(first) else { return false }
        return bytes.allSatisfy { byte in
            (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z")) || (0x30...0x39).contains(byte)
                || byte == UInt8(ascii: "_")
        }
    }

    static func isValid(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard let first = bytes.first, first != UInt8(ascii: "."), first != UInt8(ascii: "-") else { return false }
        return bytes.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
    }
}

/// A type whose values are a fixed set of words.
protocol ChoiceValue: RawRepresentable, CaseIterable, Sendable, Equatable where RawValue == String {}

extension ValueShape where Value: ChoiceValue {
    /// The shape of one word from a fixed set.
    static func choice(_ noun: String) -> ValueShape {
        let words = Value.allCases.map(\.rawValue)
        return ValueShape(
            schema: SchemaFragment([("enum", .list(words.map(PlainValue.string)))]),
            read: { node, reader in
                reader.show(node)
                guard let word = reader.string(of: node) else {
                    let text = reader.scalarText(of: node)
                    let hint = words.contains(text) ? "put it in quotes: \"\(text)\"" : nil
                    reader.failExpecting(
                        "one of \(words.joined(separator: ", "))", at: node, quoting: true, hint: hint)
                    return nil
                }
                guard let value = Value(rawValue: word) else {
                    let hint = Suggestion.hint(for: word, in: words) ?? "one of \(words.joined(separator: ", "))"
                    reader.fail(node, "unknown \(noun) \(word.quotedForMessage)", hint: hint)
                    return nil
                }
                return value
            },
            write: { value, _ in .string(value.rawValue) })
    }
}
