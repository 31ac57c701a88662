/// Decides which parts of a source line a diagnostic may show: only text that is known to be harmless.
///
/// Files contain secrets, and a mistake can put a secret anywhere: after a misspelt key, in a broken line, in a
/// comment. So all text is hidden unless it is known not to be a secret. Each hidden character becomes one asterisk, so
/// that a caret below the line still points at the right place.
package struct SourceVisibility: Sendable {
    private enum Basis {
        /// The file could not be read as YAML: only words of the configuration's language are shown.
        case words
        /// The file was read as YAML: known keys are shown, and scalars that a field without secrets has read.
        case nodes(YAMLDocument, shown: [Bool])
    }

    private let basis: Basis

    static let words = SourceVisibility(basis: .words)

    private init(basis: Basis) { self.basis = basis }

    init(_ document: YAMLDocument, shown: [Bool]) { basis = .nodes(document, shown: shown) }

    /// The line with its hidden characters as asterisks.
    func masked(_ line: [Unicode.Scalar], number: Int) -> [Unicode.Scalar] {
        var line = line
        switch basis {
        case .words: Self.hideForeignWords(line.indices, in: &line)
        case .nodes(let document, let shown): Self.hideNodes(of: document, shown, number, in: &line)
        }
        return line
    }

    // MARK: By nodes

    /// Cuts the line where scalars begin, and hides each piece whose scalar is hidden. The piece before the first
    /// scalar belongs to the last scalar of an earlier line.
    private static func hideNodes(
        of document: YAMLDocument, _ shown: [Bool], _ number: Int, in line: inout [Unicode.Scalar]
    ) {
        let (earlier, starting) = document.scalars(atLine: number)
        var isShown = earlier.map { shown[$0.index] } ?? true
        var start = 0
        for scalar in starting {
            let cut = min(line.count, document.position(of: scalar).column - 1)
            hide(start..<max(start, cut), isShown, in: &line)
            (start, isShown) = (max(start, cut), shown[scalar.index])
        }
        hide(start..<line.count, isShown, in: &line)
    }

    private static func hide(_ range: Range<Int>, _ isShown: Bool, in line: inout [Unicode.Scalar]) {
        if isShown {
            // In YAML a comment begins with '#' after a space. A comment belongs to no value, so only words of the
            // configuration's language are shown in it.
            guard let comment = range.first(where: { line[$0] == "#" && ($0 == 0 || line[$0 - 1] == " ") }) else {
                return
            }
            hideForeignWords(comment..<range.upperBound, in: &line)
        } else {
            hideForeignWords(range, in: &line)
        }
    }

    // MARK: By words

    private static func hideForeignWords(_ range: Range<Int>, in line: inout [Unicode.Scalar]) {
        var start = range.lowerBound
        for index in range.lowerBound...range.upperBound {
            if index < range.upperBound, isWordPart(line[index]) { continue }
            if !isHarmless(line[start..<index]) {
                for hidden in start..<index { line[hidden] = "*" }
            }
            start = index + 1
        }
    }

    /// Whether a word is harmless: a word of the configuration's language, dashes, or a small number such as a port.
    private static func isHarmless(_ word: ArraySlice<Unicode.Scalar>) -> Bool {
        if word.allSatisfy({ $0 == "-" }) || (word.count <= 5 && word.allSatisfy { ("0"..."9").contains($0) }) {
            return true
        }
        return Vocabulary.words.contains(String(String.UnicodeScalarView(word)))
    }

    private static func isWordPart(_ scalar: Unicode.Scalar) -> Bool {
        !scalar.properties.isWhitespace && !"{}[],:'\"#&*!|>?.@/%".unicodeScalars.contains(scalar)
            && scalar.properties.generalCategory != .control
    }
}

/// The words of the file's language: its keys, and the words that a value can be chosen from.
enum Vocabulary {
    static let words: Set<String> = {
        let schema = Configuration.shape.schema
        var words: Set<String> = ["http", "https", "unix", "true", "false"]
        for value in [schema.value] + schema.definitions.values { collect(value, into: &words) }
        return words
    }()

    private static func collect(_ schema: PlainValue, into words: inout Set<String>) {
        switch schema {
        case .list(let items): items.forEach { collect($0, into: &words) }
        case .object(let entries):
            for entry in entries {
                switch (entry.key, entry.value) {
                case ("properties", .object(let properties)): words.formUnion(properties.map(\.key))
                case ("enum", .list(let choices)): words.formUnion(choices.compactMap(\.text))
                case ("const", .string(let text)): words.insert(text)
                default: break
                }
                collect(entry.value, into: &words)
            }
        default: break
        }
    }
}

extension PlainValue {
    fileprivate var text: String? { if case .string(let text) = self { text } else { nil } }
}

extension String {
    /// Whether the text could contain a secret although its field is not for secrets: a password or query in a URL, key
    /// material, a long token, or text that begins with `$`.
    var mayHoldSecret: Bool {
        var hasColon = false
        var hasSeparator = false
        var dashes = 0
        // The text is read only once, since this property is used for every scalar of a file.
        let bytes = utf8.span
        for index in bytes.indices {
            let byte = bytes[index]
            dashes = byte == UInt8(ascii: "-") ? dashes + 1 : 0
            switch byte {
            case UInt8(ascii: "?"), UInt8(ascii: "\n"): return true
            case UInt8(ascii: "-") where dashes == 5: return true
            case UInt8(ascii: "@") where hasColon: return true
            case UInt8(ascii: ":"): hasColon = true
            case UInt8(ascii: "."), UInt8(ascii: "/"): hasSeparator = true
            default: break
            }
        }
        // Access tokens have 40 characters or more, and no dot or slash, unlike names and paths of that length.
        return (bytes.count >= 40 && !hasSeparator) || (bytes.count > 1 && bytes[0] == UInt8(ascii: "$"))
    }

    /// Whether the text looks like a key of the file: short, and made of letters, '_' and '-'. Any other text may be a
    /// value whose colon is missing, and so may be a secret.
    var looksLikeKey: Bool {
        utf8.count <= 30
            && utf8.allSatisfy { byte in
                (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z")) || byte == UInt8(ascii: "_")
                    || byte == UInt8(ascii: "-")
            }
    }
}
