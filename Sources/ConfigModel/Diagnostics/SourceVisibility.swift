/// Decides what of a line may be shown under a diagnostic: what is known to be harmless, and nothing else.
///
/// Files hold secrets, and a slip puts them anywhere: behind a misspelt key, in a broken line, in a comment. So nothing is
/// hidden for looking like a secret; things are shown for being none. Hidden characters become asterisks one by one, and a
/// caret below still points at the right place.
package struct SourceVisibility: Sendable {
    private enum Basis {
        /// The file has not been read: only words of its own language are shown.
        case words
        /// The file has been read: scalars are shown that a field which holds no secret has looked at, and known keys.
        case nodes(YAMLDocument, shown: [Bool])
    }

    private let basis: Basis

    static let words = SourceVisibility(basis: .words)

    private init(basis: Basis) { self.basis = basis }

    init(_ document: YAMLDocument, shown: [Bool]) { basis = .nodes(document, shown: shown) }

    /// The line as it may be shown.
    func masked(_ line: [Unicode.Scalar], number: Int) -> [Unicode.Scalar] {
        var line = line
        switch basis {
        case .words: Self.hideForeignWords(line.indices, in: &line)
        case .nodes(let document, let shown): Self.hideNodes(of: document, shown, number, in: &line)
        }
        return line
    }

    // MARK: By nodes

    /// The line is cut where scalars begin; each piece belongs to the scalar before it.
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
            // What follows ' #' is a comment: nobody's value.
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

    /// Words of the language, dashes and small numbers such as ports.
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

/// The words of the file's language: its keys and the words that values are chosen from.
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
    /// Whether a text that stands where no secret belongs could still hold one: a URL's password or query, key material.
    var mayHoldSecret: Bool {
        var hasColon = false
        var hasSeparator = false
        var dashes = 0
        // One pass: every scalar of a file comes by here.
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
        // Tokens have 40 characters and more; names that long have dots.
        return (bytes.count >= 40 && !hasSeparator) || (bytes.count > 1 && bytes[0] == UInt8(ascii: "$"))
    }

    /// Whether it looks like a key somebody meant to write, not like a value that lost its colon.
    var looksLikeKey: Bool {
        utf8.count <= 30
            && utf8.allSatisfy { byte in
                (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z")) || byte == UInt8(ascii: "_")
                    || byte == UInt8(ascii: "-")
            }
    }
}
