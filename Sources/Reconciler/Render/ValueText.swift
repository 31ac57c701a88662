import ConfigModel

/// Formats values for a plan's text. No difference is left out, and different values never look the same.
enum ValueText {
    /// A text of up to this many characters is shown whole. A longer text is cut around its difference.
    private static let wholeLength = 60
    /// How many characters of a cut text are shown on each side of its difference.
    private static let contextLength = 20
    /// The marks that stand for secrets. Other texts that begin with a parenthesis are quoted.
    private static let marks = ["(hidden)", "(hidden, changed)"]

    static func lines(from before: PlainValue, to after: PlainValue) -> [String] {
        if case .list(let old) = before, case .list(let new) = after, !old.isEmpty, !new.isEmpty {
            return lines(ListDifference(from: old, to: new))
        }
        var (left, right) = sides(before, after)
        // Swift's `==` treats texts as equal that write the same letters with different code points, such as `é` as one
        // code point and as two.
        if left == right {
            (left, right) = (exact(before), exact(after))
        } else if differ(before, after, in: \.isSign) {
            (left, right) = (spelledOut(left, \.isSign), spelledOut(right, \.isSign))
        } else if mayMislead([before == .null ? "" : left, after == .null ? "" : right]) {
            (left, right) = (spelledOut(left), spelledOut(right))
        }
        return ["\(left) → \(right)"]
    }

    static func whole(_ value: PlainValue) -> String {
        let text = whole(value, isItem: false)
        return text.utf8.count <= 2 * wholeLength && mayMislead([text]) ? spelledOut(text) : text
    }

    private static func whole(_ value: PlainValue, isItem: Bool) -> String {
        switch value {
        case .null: "(none)"
        case .string(let text): marks.contains(text) ? text : quotedIfNeeded(text, isItem: isItem)
        case .list(let items): "[" + items.map { whole($0, isItem: true) }.joined(separator: ", ") + "]"
        default: exact(value)
        }
    }

    // MARK: Lists

    private static func lines(_ difference: ListDifference) -> [String] {
        let gone = Set(difference.removed.map { whole($0.value, isItem: true) })
        let isAmbiguous =
            difference.added.contains { gone.contains(whole($0.value, isItem: true)) }
            || mayMislead(gone + difference.added.map { whole($0.value, isItem: true) })
            || !gone.isEmpty && difference.added.contains { whole($0.value, isItem: true).contains(\.isSign) }
            || !difference.added.isEmpty && gone.contains { $0.contains(\.isSign) }
        let text = { isAmbiguous ? exact($0) : whole($0, isItem: true) }
        return difference.removed.map { "- \(text($0.value))" + ($0.count.map { " (one of \($0))" } ?? "") }
            + difference.added.map { added in
                let remarks = [added.isAgain ? "again" : nil, added.place.map { "at \($0)" }].compactMap(\.self)
                return "+ \(text(added.value))" + (remarks.isEmpty ? "" : " (\(remarks.joined(separator: ", ")))")
            }
            + difference.moved.map { moved in
                let way =
                    switch moved.way {
                    case .from(let old, let new): "from \(old) to \(new)"
                    case .before(let other): "now before \(text(other))"
                    case .after(let other): "now after \(text(other))"
                    }
                return "~ \(text(moved.value)) (\(way))"
            }
    }

    // MARK: Texts

    /// The old and the new value. If one is a long text, both texts are cut around their difference.
    private static func sides(_ before: PlainValue, _ after: PlainValue) -> (String, String) {
        guard case .string(let old) = before, case .string(let new) = after else {
            return (whole(before, isItem: false), whole(after, isItem: false))
        }
        let (left, right) = (Array(old.unicodeScalars), Array(new.unicodeScalars))
        guard max(left.count, right.count) > wholeLength, !marks.contains(old), !marks.contains(new) else {
            return (whole(before, isItem: false), whole(after, isItem: false))
        }
        let (start, end) = sameEnds(left, right)
        let (skipped, omitted) = (max(0, start - contextLength), max(0, end - contextLength))
        let part = { (text: [Unicode.Scalar]) in
            var part = ""
            part.unicodeScalars.append(contentsOf: text[skipped..<text.count - omitted])
            return (skipped > 0 ? "…" : "") + quotedIfNeeded(part, isItem: false) + (omitted > 0 ? "…" : "")
        }
        return (part(left), part(right))
    }

    /// How many scalars two texts have in common at their start, and at their end after that.
    private static func sameEnds(_ left: [Unicode.Scalar], _ right: [Unicode.Scalar]) -> (start: Int, end: Int) {
        let start = zip(left, right).prefix { $0 == $1 }.count
        let rest = min(left.count, right.count) - start
        return (start, zip(left.reversed(), right.reversed()).prefix(rest).prefix { $0 == $1 }.count)
    }

    /// Whether the differing middles of two texts contain a scalar for which `kind` is true.
    private static func differ(
        _ before: PlainValue, _ after: PlainValue, in kind: (Unicode.Scalar) -> Bool
    ) -> Bool {
        guard case .string(let old) = before, case .string(let new) = after else { return false }
        let (left, right) = (Array(old.unicodeScalars), Array(new.unicodeScalars))
        let (start, end) = sameEnds(left, right)
        return [left, right].contains { $0[start..<$0.count - end].contains(where: kind) }
    }

    /// Whether the texts mix Latin letters with a script that has look-alikes, such as Cyrillic (Unicode Technical
    /// Standard 39).
    private static func mayMislead(_ texts: some Sequence<String>) -> Bool {
        var (hasPlain, hasForeign) = (false, false)
        for text in texts {
            // Fast path: nearly all texts are ASCII.
            hasPlain = hasPlain || text.utf8.contains { isLetter($0) }
            guard text.utf8.contains(where: { $0 >= 0x80 }) else { continue }
            hasForeign = hasForeign || text.unicodeScalars.contains(where: \.isForeignLetter)
        }
        return hasPlain && hasForeign
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    /// The text. If it contains non-Latin letters, or scalars for which `isOfKind` is true, the text follows again in
    /// parentheses with these scalars escaped.
    private static func spelledOut(
        _ shown: String, _ isOfKind: (Unicode.Scalar) -> Bool = { _ in false }
    ) -> String {
        var isSame = true
        let scalars = shown.unicodeScalars.reduce(into: "") { text, scalar in
            let isPlain = !scalar.isForeignLetter && !isOfKind(scalar)
            isSame = isSame && isPlain
            text += isPlain ? String(scalar) : scalar.escaped(asASCII: true)
        }
        guard !isSame else { return shown }
        return "\(shown) (\(scalars))"
    }

    /// The text, in quotes if it could be mistaken for another kind of value or has characters that are invisible or
    /// control a terminal.
    private static func quotedIfNeeded(_ text: String, isItem: Bool) -> String {
        // Fast path: nearly all texts are words, and a first plan has very many.
        if !text.isEmpty, text.utf8.allSatisfy(isOfWord) { return text }
        let needsQuotes =
            text.isEmpty || text.first == " " || text.last == " " || "\"([{…".contains(text.first ?? " ")
            || text.unicodeScalars.contains { $0 == "→" || $0.isUnseen }
            || text.unicodeScalars.first?.isMark == true
            || (isItem && text.contains { ",[](){}".contains($0) })
        return needsQuotes ? quoted(text) : text
    }

    private static func isOfWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "-")...UInt8(ascii: ":"), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    /// The value as JSON with all non-ASCII characters escaped, so that different values look different.
    private static func exact(_ value: PlainValue) -> String {
        let json = String(decoding: value.json(), as: UTF8.self)
        return json.unicodeScalars.reduce(into: "") { $0 += $1.isASCII ? String($1) : $1.escaped(asASCII: true) }
    }

    private static func quoted(_ text: String) -> String {
        let inner = text.unicodeScalars.reduce(into: "") { result, scalar in
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            // A mark would join the quotation mark before it.
            case _ where scalar.isUnseen || scalar.isMark && result.isEmpty: result += scalar.escaped(asASCII: true)
            default: result += String(scalar)
            }
        }
        return "\"\(inner)\""
    }
}

extension Unicode.Scalar {
    /// Whether the scalar is a letter beyond the Latin ones in common use.
    fileprivate var isForeignLetter: Bool { value >= 0x250 && properties.isAlphabetic }

    /// Whether the scalar joins the scalar before it.
    fileprivate var isMark: Bool {
        switch isASCII ? .control : properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark: true
        default: false
        }
    }

    /// Whether the scalar is a mark, or a sign that may look like an ASCII sign, such as a hyphen.
    fileprivate var isSign: Bool {
        guard !isASCII else { return false }
        // The letters for click consonants, such as `ǃ` (U+01C3), look like signs.
        if isMark || 0x1C0...0x1C3 ~= value { return true }
        return switch properties.generalCategory {
        case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
            .finalPunctuation, .otherPunctuation, .mathSymbol, .modifierSymbol:
            true
        default: false
        }
    }

    /// Symbols and letters that show nothing, though Unicode's properties don't say so: the braille pattern without
    /// dots, a null note head, hieroglyphs for blanks, and the object replacement character.
    private static let blanks: Set<UInt32> = [0x2800, 0x1D159, 0x13441, 0x13442, 0xFFFC]

    /// Whether a terminal shows nothing for the scalar, draws its neighbours differently, or takes it for a command.
    fileprivate var isUnseen: Bool {
        if isASCII { return value < 0x20 || value == 0x7F }
        if properties.isDefaultIgnorableCodePoint || properties.isWhitespace || Self.blanks.contains(value) {
            return true
        }
        return switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .spaceSeparator, .surrogate, .privateUse,
            .unassigned:
            true
        default: false
        }
    }
}

extension String {
    fileprivate func contains(_ isOfKind: (Unicode.Scalar) -> Bool) -> Bool { unicodeScalars.contains(where: isOfKind) }
}
