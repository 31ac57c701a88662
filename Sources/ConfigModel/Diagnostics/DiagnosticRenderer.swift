/// Writes diagnostics the way compilers do, or as JSON for machines.
public struct DiagnosticRenderer {
    /// Lines up to this length are shown whole.
    private static let maxShownColumns = 160
    /// From longer lines a window is shown that begins this far before the caret.
    private static let contextColumns = 60
    /// Lines longer than this are not shown at all: nobody could read them.
    private static let maxLineLength = 10_000

    private let source: SourceText
    private let lines: SourceLines
    private let colour: Bool

    /// A renderer for the diagnostics of one file; `colour` adds ANSI colours for a terminal.
    public init(_ source: SourceText, colour: Bool = false) {
        self.source = source
        self.lines = SourceLines(source)
        self.colour = colour
    }

    /// Each diagnostic as `path:line:column: error: text`, the line, a caret, and its hint.
    public func text(_ diagnostics: [Diagnostic]) -> String {
        diagnostics.map(text).joined()
    }

    /// One line that counts, such as `2 errors, 1 warning in aegis.yaml`; nil when there is nothing to count.
    public func summary(_ diagnostics: [Diagnostic]) -> String? {
        guard !diagnostics.isEmpty else { return nil }
        let errors = diagnostics.count { $0.severity == .error }
        let warnings = diagnostics.count - errors
        let parts = [(errors, "error"), (warnings, "warning")].filter { $0.0 > 0 }
            .map { "\($0.0) \($0.1)\($0.0 == 1 ? "" : "s")" }
        return parts.joined(separator: ", ") + " in \(source.name)"
    }

    /// The diagnostics as values for JSON: `path`, `line`, `column`, `severity`, `message`, `hint` and `notes`.
    public func values(_ diagnostics: [Diagnostic]) -> PlainValue {
        .list(diagnostics.map(value))
    }

    private func value(_ diagnostic: Diagnostic) -> PlainValue {
        .map([
            ("path", .string(source.name)),
            ("line", .int(diagnostic.position.line)),
            ("column", .int(diagnostic.position.column)),
            ("severity", .string(diagnostic.severity.rawValue)),
            ("message", .string(diagnostic.message)),
            ("hint", diagnostic.hint.map(PlainValue.string) ?? .null),
            (
                "notes",
                .list(
                    diagnostic.notes.map { note in
                        .map([
                            ("line", .int(note.position.line)), ("column", .int(note.position.column)),
                            ("message", .string(note.message)),
                        ])
                    })
            ),
        ])
    }

    private func text(_ diagnostic: Diagnostic) -> String {
        let severity = diagnostic.severity.rawValue + ":"
        let painted = paint(severity, diagnostic.severity == .error ? "1;31" : "1;33")
        var text = "\(place(diagnostic.position)): \(painted) \(paint(diagnostic.message, "1"))\n"
        text += excerpt(at: diagnostic.position, hiding: diagnostic.hidesSource)
        for note in diagnostic.notes {
            text += "\(place(note.position)): \(paint("note:", "1;36")) \(note.message)\n"
            text += excerpt(at: note.position, hiding: false)
        }
        if let hint = diagnostic.hint { text += "\(paint("hint:", "1;32")) \(hint)\n" }
        return text
    }

    private func place(_ position: SourcePosition) -> String {
        "\(source.name):\(position.line):\(position.column)"
    }

    /// The source line and a caret below the column; empty for lines that have nothing to show.
    private func excerpt(at position: SourcePosition, hiding: Bool) -> String {
        guard lines.length(of: position.line) <= Self.maxLineLength else { return "" }
        var line = SecretMask.hidingSecrets(in: position.line, of: lines)
        guard !line.allSatisfy(\.isWhitespace) else { return "" }
        // Columns count scalars, characters can hold several.
        var caret = 0
        var column = 1
        while caret < line.count, column < position.column {
            column += line[caret].unicodeScalars.count
            caret += 1
        }
        if hiding {
            for index in caret..<line.count where !line[index].isWhitespace { line[index] = "*" }
        }
        if line.count > Self.maxShownColumns {
            let start = max(0, min(caret - Self.contextColumns, line.count - Self.maxShownColumns))
            line = Array(line[start..<(start + Self.maxShownColumns)])
            caret -= start
        }
        let indent = line.prefix(caret).map { $0 == "\t" ? "\t" : " " }.joined()
        return printable(line) + "\n" + indent + paint("^", "1;32") + "\n"
    }

    /// The line without characters that could drive a terminal.
    private func printable(_ line: [Character]) -> String {
        String(
            line.map { character in
                let isControl = character.unicodeScalars.contains { $0.properties.generalCategory == .control }
                return isControl && character != "\t" ? "\u{FFFD}" : character
            })
    }

    private func paint(_ text: String, _ code: String) -> String {
        colour ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}
