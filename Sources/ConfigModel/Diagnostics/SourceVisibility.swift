/// Decides which parts of a source line a diagnostic may show: only text that is known to be harmless.
///
/// Files contain secrets, and a mistake can put a secret anywhere: after a misspelt key, in a broken line, in a
/// comment. So all text is hidden unless it is known not to be a secret. A hidden value is hidden whole, with its
/// punctuation. Each hidden character becomes one asterisk, so that a caret below the line still points at the right
/// place.
package struct SourceVisibility: Sendable {
    private enum Basis {
        /// The file could not be read as YAML: only words of the configuration's language are shown.
        case words
        /// The file was read as YAML: known keys are shown, and so are the values of fields that are not for secrets,
        /// unless a value looks like a secret (`mayHoldSecret`).
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
        case .words: Self.hideForeign(line.indices, in: &line)
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
        let cuts = starting.map { min(line.count, document.position(of: $0).column - 1) }
        let first = 0..<(cuts.first ?? line.count)
        if earlier.map({ shown[$0.index] }) ?? true {
            hideComment(in: first, of: &line)
        } else {
            hideContinuation(first, in: &line)
        }
        for (index, scalar) in starting.enumerated() {
            let start = max(first.upperBound, cuts[index])
            let piece = start..<max(start, index + 1 < cuts.count ? cuts[index + 1] : line.count)
            if shown[scalar.index] {
                hideComment(in: piece, of: &line)
            } else {
                hideScalar(atStartOf: piece, in: &line)
            }
        }
    }

    /// Hides the foreign words (`hideForeign`) of a comment, which belongs to no value. In YAML a comment begins with
    /// '#' after a blank.
    private static func hideComment(in range: Range<Int>, of line: inout [Unicode.Scalar]) {
        guard let start = range.first(where: { line[$0] == "#" && ($0 == 0 || isBlank(line[$0 - 1])) }) else { return }
        hideForeign(start..<range.upperBound, in: &line)
    }

    /// Hides what may be the rest of a hidden scalar of an earlier line. A text stays if it has only signs of
    /// collections, such as `-` and `{`.
    private static func hideContinuation(_ range: Range<Int>, in line: inout [Unicode.Scalar]) {
        let isStructure = range.allSatisfy { isBlank(line[$0]) || "-?{}[],".unicodeScalars.contains(line[$0]) }
        guard !isStructure, let start = range.first(where: { !isBlank(line[$0]) }) else { return }
        coverIfForeign(start..<range.upperBound, in: &line)
    }

    /// Hides the scalar at the start of the range. In the text after the scalar, hides only the foreign words.
    private static func hideScalar(atStartOf range: Range<Int>, in line: inout [Unicode.Scalar]) {
        guard let first = range.first else { return }
        var end = range.upperBound
        switch line[first] {
        case "\"", "'":
            end = closingQuote(of: first, before: range.upperBound, in: line) ?? range.upperBound
            coverIfForeign(first + 1..<end, in: &line)
        case "|", ">": end = first
        default:
            let isInFlow = flowDepth(before: first, in: line) > 0
            end =
                range.first { index in
                    let isLast = index + 1 == range.upperBound || isBlank(line[index + 1])
                    return line[index] == ":" && isLast || line[index] == "#" && index > 0 && isBlank(line[index - 1])
                        || isInFlow && ",[]{}".unicodeScalars.contains(line[index])
                } ?? range.upperBound
            coverIfForeign(first..<end, in: &line)
        }
        hideForeign(min(end, range.upperBound)..<range.upperBound, in: &line)
    }

    /// Replaces each character of a text by an asterisk, except blanks at the end. A text without foreign words stays.
    private static func coverIfForeign(_ range: Range<Int>, in line: inout [Unicode.Scalar]) {
        let isForeign = !line[range].split(whereSeparator: { !isWordPart($0) }).allSatisfy(isHarmless)
        guard isForeign, let last = range.last(where: { !isBlank(line[$0]) }) else { return }
        for index in range.lowerBound...last { line[index] = "*" }
    }

    // MARK: By words

    /// Hides each piece that has a foreign word, which is a word that `isHarmless` does not accept. A piece is a quoted
    /// text, or else the characters between two blanks. In braces and brackets, commas end a piece too.
    private static func hideForeign(_ range: Range<Int>, in line: inout [Unicode.Scalar]) {
        var depth = 0
        var index = range.lowerBound
        while index < range.upperBound {
            let start = index
            switch line[index] {
            case "\"", "'":
                let end = closingQuote(of: index, before: range.upperBound, in: line) ?? range.upperBound
                coverIfForeign(start + 1..<end, in: &line)
                index = end + 1
            case "{", "[": (depth, index) = (depth + 1, index + 1)
            case "}", "]": (depth, index) = (max(0, depth - 1), index + 1)
            case ",": index += 1
            case let scalar where isBlank(scalar): index += 1
            default:
                index =
                    (start..<range.upperBound).first {
                        isBlank(line[$0]) || depth > 0 && ",[]{}".unicodeScalars.contains(line[$0])
                    } ?? range.upperBound
                coverIfForeign(start..<(line[index - 1] == ":" ? index - 1 : index), in: &line)
            }
        }
    }

    // MARK: Signs

    private static func closingQuote(of start: Int, before end: Int, in line: [Unicode.Scalar]) -> Int? {
        let quote = line[start]
        var index = start + 1
        while index < end {
            let isDoubled = quote == "'" && index + 1 < end && line[index + 1] == quote
            if line[index] == quote, !isDoubled { return index }
            index += line[index] == quote || quote == "\"" && line[index] == "\\" ? 2 : 1
        }
        return nil
    }

    /// How many braces and brackets are open at a place of a line. Those of earlier lines are not counted.
    private static func flowDepth(before end: Int, in line: [Unicode.Scalar]) -> Int {
        var depth = 0
        var quote: Unicode.Scalar?
        for scalar in line[..<end] {
            switch scalar {
            case "\"", "'": quote = quote == nil ? scalar : quote == scalar ? nil : quote
            case "{" where quote == nil, "[" where quote == nil: depth += 1
            case "}" where quote == nil, "]" where quote == nil: depth -= 1
            default: break
            }
        }
        return depth
    }

    private static func isBlank(_ scalar: Unicode.Scalar) -> Bool { scalar == " " || scalar == "\t" }

    /// Whether a word is harmless: a word of the configuration's language, a separator such as `---`, or a number of at
    /// most five digits, such as a port.
    private static func isHarmless(_ word: ArraySlice<Unicode.Scalar>) -> Bool {
        if word.allSatisfy({ "-=<".unicodeScalars.contains($0) })
            || (word.count <= 5 && word.allSatisfy { ("0"..."9").contains($0) })
        {
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
