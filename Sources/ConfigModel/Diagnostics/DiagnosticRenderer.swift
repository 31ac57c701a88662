/// Writes diagnostics the way compilers do, or as JSON for machines.
package struct DiagnosticRenderer {
    /// Source lines of up to this many columns are shown whole.
    private static let maxShownColumns = 160
    /// In a line longer than `maxShownColumns`, the shown part begins this many columns before the caret.
    private static let contextColumns = 60
    /// Source lines with more bytes than this are not shown: nobody could read them.
    private static let maxLineBytes = 10_000

    private let name: String
    private let lines: SourceLines
    private let visibility: SourceVisibility
    private let colour: Bool

    /// A renderer for the diagnostics of one file; `colour` adds ANSI colours for a terminal.
    package init(_ source: SourceText, _ visibility: SourceVisibility, colour: Bool = false) {
        self.name = source.name.withoutControls
        self.lines = SourceLines(source)
        self.visibility = visibility
        self.colour = colour
    }

    /// Each diagnostic as `path:line:column: error: text`, followed by the source line, a caret, the notes and the
    /// hint.
    package func text(_ diagnostics: [Diagnostic]) -> String {
        // Diagnostics on the same source line follow each other, so the line is masked once for all of them.
        var current = ShownLine()
        return diagnostics.map { text($0, &current) }.joined()
    }

    /// The diagnostic in one line, without its hint and notes.
    package func line(_ diagnostic: Diagnostic) -> String {
        "\(place(diagnostic.position)): \(diagnostic.severity.rawValue): \(diagnostic.message)"
    }

    /// The number of errors and warnings with the file's name, such as `2 errors, 1 warning in aegis.yaml`; nil when
    /// there are none.
    package func summary(_ diagnostics: [Diagnostic]) -> String? { counts(diagnostics).map { "\($0) in \(name)" } }

    /// The number of errors and warnings, such as `2 errors, 1 warning`; nil when there are none.
    package func counts(_ diagnostics: [Diagnostic]) -> String? {
        guard !diagnostics.isEmpty else { return nil }
        let errors = diagnostics.count { $0.severity == .error }
        let warnings = diagnostics.count - errors
        let parts = [(errors, "error"), (warnings, "warning")].filter { $0.0 > 0 }
            .map { "\($0.0) \($0.1)\($0.0 == 1 ? "" : "s")" }
        return parts.joined(separator: ", ")
    }

    /// The diagnostics as a JSON list of objects with the keys `path`, `line`, `column`, `severity`, `message`, `hint`
    /// and `notes`.
    package func values(_ diagnostics: [Diagnostic]) -> PlainValue {
        .list(diagnostics.map(value))
    }

    /// The whole source text, with asterisks for everything that could be a secret.
    package func maskedText() -> String {
        (1...lines.count).map { number in
            String(String.UnicodeScalarView(shownLine(number).scalars)) + (number < lines.count ? "\n" : "")
        }.joined()
    }

    private func value(_ diagnostic: Diagnostic) -> PlainValue {
        let notes = diagnostic.notes.map { note in
            PlainValue.map([
                ("line", .int(note.position.line)), ("column", .int(note.position.column)),
                ("message", .string(note.message)),
            ])
        }
        return .map([
            ("path", .string(name)),
            ("line", diagnostic.position == .none ? .null : .int(diagnostic.position.line)),
            ("column", diagnostic.position == .none ? .null : .int(diagnostic.position.column)),
            ("severity", .string(diagnostic.severity.rawValue)),
            ("message", .string(diagnostic.message)),
            ("hint", diagnostic.hint.map(PlainValue.string) ?? .null),
            ("notes", .list(notes)),
        ])
    }

    private func text(_ diagnostic: Diagnostic, _ current: inout ShownLine) -> String {
        let severity = diagnostic.severity.rawValue + ":"
        let painted = paint(severity, diagnostic.severity == .error ? "1;31" : "1;33")
        var text = "\(place(diagnostic.position)): \(painted) \(paint(diagnostic.message, "1"))\n"
        text += excerpt(at: diagnostic.position, &current)
        for note in diagnostic.notes {
            var other = note.position.line == current.number ? current : ShownLine()
            text += "\(place(note.position)): \(paint("note:", "1;36")) \(note.message)\n"
            text += excerpt(at: note.position, &other)
        }
        if let hint = diagnostic.hint { text += "\(paint("hint:", "1;32")) \(hint)\n" }
        return text
    }

    private func place(_ position: SourcePosition) -> String {
        position == .none ? name : "\(name):\(position.line):\(position.column)"
    }

    // MARK: The line and its caret

    private struct ShownLine {
        var number = 0
        var scalars: [Unicode.Scalar] = []
    }

    /// The source line and a caret below the column; empty when the line can't be shown.
    private func excerpt(at position: SourcePosition, _ current: inout ShownLine) -> String {
        guard position != .none, lines.length(of: position.line) <= Self.maxLineBytes else { return "" }
        if current.number != position.line { current = shownLine(position.line) }
        guard !current.scalars.isEmpty else { return "" }
        var line = current.scalars[...]
        let caret = min(line.count, position.column - 1)
        if line.count > Self.maxShownColumns {
            let start = max(0, min(caret - Self.contextColumns, line.count - Self.maxShownColumns))
            line = line[start..<(start + Self.maxShownColumns)]
        }
        let indent = line.prefix(upTo: max(line.startIndex, caret)).map { $0 == "\t" ? "\t" : $0.isWide ? "  " : " " }
        return String(String.UnicodeScalarView(line)) + "\n" + indent.joined() + paint("^", "1;32") + "\n"
    }

    private func shownLine(_ number: Int) -> ShownLine {
        let line = Array(lines[number].unicodeScalars)
        guard !line.allSatisfy(\.properties.isWhitespace) else { return ShownLine(number: number) }
        let masked = visibility.masked(line, number: number)
        // Control characters could make a terminal execute commands.
        let printable = masked.map { $0.properties.generalCategory == .control && $0 != "\t" ? "\u{FFFD}" : $0 }
        return ShownLine(number: number, scalars: printable)
    }

    private func paint(_ text: String, _ code: String) -> String {
        colour ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}

extension String {
    /// The text with control characters replaced, so that a terminal can't be made to execute commands.
    fileprivate var withoutControls: String {
        String(
            String.UnicodeScalarView(unicodeScalars.map { $0.properties.generalCategory == .control ? "\u{FFFD}" : $0 })
        )
    }
}

extension Unicode.Scalar {
    /// Whether terminals show the scalar two columns wide: East Asian wide characters and emoji, recognized by their
    /// Unicode blocks.
    fileprivate var isWide: Bool {
        switch value {
        case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
            0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD:
            true
        default: false
        }
    }
}
