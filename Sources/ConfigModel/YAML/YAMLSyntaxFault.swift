import CYAML

/// Turns libyaml's report of a syntax error into a diagnostic, with a hint for common slips.
enum YAMLSyntaxFault {
    static func describe(_ parser: yaml_parser_t, _ source: SourceText) -> YAMLFault {
        let problem = unsafe parser.problem.map { unsafe String(cString: $0) } ?? "syntax error"
        if unsafe parser.error == YAML_READER_ERROR {
            let offset = unsafe min(parser.problem_offset + source.byteOrderMarkLength, source.bytes.count)
            return YAMLFault(source.position(ofByte: offset), problem)
        }
        let mark = unsafe parser.problem_mark
        let position = SourcePosition(line: mark.line + 1, column: mark.column + 1)
        var notes: [Diagnostic.Note] = []
        if let context = unsafe parser.context.map({ unsafe String(cString: $0) }) {
            let start = unsafe parser.context_mark
            let place = SourcePosition(line: start.line + 1, column: start.column + 1)
            if place != position { notes = [Diagnostic.Note(position: place, message: context)] }
        }
        if let cause = cause(of: problem, at: position, in: source) { return cause }
        let byte = byte(at: position, in: source)
        return YAMLFault(position, "YAML syntax: \(problem)", hint: hint(for: problem, at: byte), notes: notes)
    }

    // MARK: Mistakes that libyaml notices late or misnames

    private static func cause(of problem: String, at position: SourcePosition, in source: SourceText) -> YAMLFault? {
        let lines = SourceLines(source)
        let isAtEnd = problem == "found unexpected end of stream"
        return conflict(in: lines) ?? leftMarker(before: position, in: lines) ?? wideSpace(before: position, in: lines)
            ?? unclosedQuote(before: position, isAtEnd, in: lines) ?? quoteWithin(at: position, in: lines)
            ?? variable(at: position, in: lines) ?? surrogate(problem, at: position, in: lines)
    }

    /// Finds the markers that Git writes into a file with merge conflicts.
    private static func conflict(in lines: SourceLines) -> YAMLFault? {
        guard let first = (1...lines.count).first(where: { lines.starts($0, with: "<<<<<<< ") }),
            (first...lines.count).contains(where: { lines.starts($0, with: ">>>>>>> ") })
        else { return nil }
        return YAMLFault(
            SourcePosition(line: first, column: 1), "a merge conflict of Git stands here",
            hint: "decide which lines to keep, and remove the lines of '<<<<<<<', '=======' and '>>>>>>>'")
    }

    /// Finds a marker of a merge conflict that is left after the other markers were removed. A marker begins in the
    /// first column. A value that looks like a marker does not, since the values of a mapping are indented.
    private static func leftMarker(before position: SourcePosition, in lines: SourceLines) -> YAMLFault? {
        let markers = ["<<<<<<<", "|||||||", "=======", ">>>>>>>"]
        let number = (1...min(lines.count, position.line)).last { number in
            markers.contains { lines.starts(number, with: $0) }
                && [nil, " "].contains(lines[number].dropFirst(7).first)
        }
        return number.map {
            YAMLFault(
                SourcePosition(line: $0, column: 1), "this line is left of a merge conflict of Git",
                hint: "remove it, and look whether the lines around it are the ones to keep")
        }
    }

    /// Finds a space other than U+0020 where YAML needs one: in the indentation, or after an indicator such as ':'.
    /// YAML takes the wide space for a part of the text.
    private static func wideSpace(before position: SourcePosition, in lines: SourceLines) -> YAMLFault? {
        // libyaml reports the fault on the same line or on one of the next two lines.
        for number in stride(from: position.line, to: max(0, position.line - 3), by: -1) {
            var scan = QuoteScan()
            var before: Unicode.Scalar?
            for (index, scalar) in lines[number].unicodeScalars.enumerated() {
                guard !scan.isComment else { break }
                let isWide = scalar.value >= 0x80 && scalar.properties.generalCategory == .spaceSeparator
                if isWide, scan.open == nil, before.map({ ":-?,[{".unicodeScalars.contains($0) }) ?? true {
                    let code = String(scalar.value, radix: 16, uppercase: true)
                    return YAMLFault(
                        SourcePosition(line: number, column: index + 1),
                        "this is no plain space, but U+\(String(repeating: "0", count: max(0, 4 - code.count)))\(code)",
                        hint: "write a space in its place: YAML takes it for a part of the text")
                }
                scan.read(scalar, at: index)
                if scalar != " " { before = scalar }
            }
        }
        return nil
    }

    /// Finds text right after a closing quote, which was probably meant as a part of the quoted text: `'it's down'`.
    private static func quoteWithin(at position: SourcePosition, in lines: SourceLines) -> YAMLFault? {
        let line = Array(lines[position.line].unicodeScalars)
        let index = position.column - 1
        guard line.indices.contains(index), index > 0, ["'", "\""].contains(line[index - 1]),
            !" \t,]}:".unicodeScalars.contains(line[index])
        else { return nil }
        let mark = line[index - 1]
        let way = mark == "'" ? "write it twice ('') or put the text in double quotes" : "write a backslash before it"
        return YAMLFault(
            SourcePosition(line: position.line, column: position.column - 1), "the quoted text ends at this quote",
            hint: "if the quote belongs to the text, \(way)")
    }

    /// Finds a quote that was probably meant to be closed on its line. The quoted text ends only on a later line, or
    /// never, and the text after it is not valid YAML.
    private static func unclosedQuote(
        before position: SourcePosition, _ isAtEnd: Bool, in lines: SourceLines
    ) -> YAMLFault? {
        // The search goes back at most 1000 lines. A quoted text that ends before the fault's line was meant to span
        // lines, so it is not the cause.
        for number in stride(from: position.line, to: max(0, position.line - 1000), by: -1) {
            var scan = QuoteScan()
            scan.read(lines[number])
            guard let quote = scan.open else { continue }
            for next in stride(from: number + 1, through: position.line, by: 1) where scan.open != nil {
                scan.read(lines[next])
                if scan.open == nil, next < position.line { return nil }
            }
            guard scan.open == nil || isAtEnd else { return nil }
            return YAMLFault(
                SourcePosition(line: number, column: quote.column), "this quote is not closed on its line",
                hint: "put a \(quote.mark) at the end of the value")
        }
        return nil
    }

    /// Finds `{ key: ${NAME} }` and `key: {{ NAME }}`, in which YAML takes the braces for a mapping.
    private static func variable(at position: SourcePosition, in lines: SourceLines) -> YAMLFault? {
        let line = Array(lines[position.line].unicodeScalars)
        let places = line.indices.dropLast().filter { "${".unicodeScalars.contains(line[$0]) && line[$0 + 1] == "{" }
        guard let last = places.last(where: { $0 < position.column }) else { return nil }
        // In `{{` and `${{`, the fault is at the first character.
        let place = places.contains(last - 1) ? last - 1 : last
        var scan = QuoteScan()
        scan.read(String(String.UnicodeScalarView(line[..<place])))
        guard scan.open == nil else { return nil }
        return YAMLFault(
            SourcePosition(line: position.line, column: place + 1), "'\(line[place]){' stands outside of quotes",
            hint: line[place] == "$" ? variableHint : templateHint)
    }

    /// Finds an escape such as `\uD83D`. JSON writes a character above U+FFFF with two such escapes (RFC 8259 section
    /// 7), but libyaml accepts none of them. libyaml reports the position after `\u`.
    private static func surrogate(
        _ problem: String, at position: SourcePosition, in lines: SourceLines
    ) -> YAMLFault? {
        guard problem == "found invalid Unicode character escape code" else { return nil }
        let rest = lines[position.line].unicodeScalars.dropFirst(position.column - 1)
        guard let unit = UInt32(String(String.UnicodeScalarView(rest.prefix(4))), radix: 16), 0xD800...0xDFFF ~= unit
        else { return nil }
        return YAMLFault(
            SourcePosition(line: position.line, column: position.column - 2),
            "this escape is half of a character, as JSON writes one above U+FFFF",
            hint: "write the character itself, or one escape of eight digits for it, such as \"\\U0001F600\"")
    }

    /// The hint for values with `{{ NAME }}`.
    static let templateHint = "a template was not filled in: '{{ … }}' must be replaced before Aegis reads the file"

    /// The hint for values with `${NAME}`.
    static let variableHint = "variables are not put in here: write { env: NAME } for a secret, and others in full"

    private static func hint(for problem: String, at byte: UInt8?) -> String? {
        switch problem {
        case "found character that cannot start any token" where byte == UInt8(ascii: "\t"),
            "found a tab character that violates indentation":
            "indent with spaces, not tabs"
        case "found character that cannot start any token":
            "put the value in quotes"
        case "mapping values are not allowed in this context":
            "check the indentation; a value that contains ': ' must be in quotes"
        case "did not find expected key", "did not find expected '-' indicator", "could not find expected ':'":
            "check the indentation, and that each key is followed by ': ', with the space"
        case "did not find expected ',' or '}'":
            "is a '}' or a comma missing? values with ': ', '{' or '}' must be in quotes"
        case "did not find expected ',' or ']'": "is a ']' or a comma missing?"
        case "did not find expected node content": "is a ']' or '}' missing?"
        case "found unexpected end of stream": "is a closing quote missing?"
        case "did not find expected alphabetic or numeric character":
            "a value that begins with '*' or '&' must be in quotes"
        default: nil
        }
    }

    private static func byte(at position: SourcePosition, in source: SourceText) -> UInt8? {
        let line = SourceLines(source)[position.line].unicodeScalars
        return line.dropFirst(position.column - 1).first.flatMap { UInt8(exactly: $0.value) }
    }
}

/// Finds the quote that is still open at the end of the lines read.
private struct QuoteScan {
    /// The open quote: its character, and its column on its line.
    private(set) var open: (mark: Unicode.Scalar, column: Int)?
    /// Whether the rest of the line is a comment.
    private(set) var isComment = false
    private var previous: Unicode.Scalar = " "
    private var isEscaped = false

    mutating func read(_ line: String) {
        (previous, isEscaped, isComment) = (" ", false, false)
        for (index, scalar) in line.unicodeScalars.enumerated() where !isComment { read(scalar, at: index) }
    }

    mutating func read(_ scalar: Unicode.Scalar, at index: Int) {
        if let quote = open {
            if isEscaped {
                isEscaped = false
            } else if scalar == "\\", quote.mark == "\"" {
                isEscaped = true
            } else if scalar == quote.mark {
                open = nil
            }
        } else if scalar == "#", previous == " " {
            isComment = true
        } else if scalar == "\"" || scalar == "'", " [{,:".unicodeScalars.contains(previous) {
            open = (scalar, index + 1)
        }
        previous = scalar
    }
}
