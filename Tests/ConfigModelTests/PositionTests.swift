import ConfigModel
import Testing

/// Lines and columns must be those that an editor shows.
@Suite struct PositionTests {
    struct Case: Sendable, CustomStringConvertible {
        let description: String
        let bytes: [UInt8]
        let line: Int
        let column: Int
        let excerpt: String

        init(_ description: String, _ text: String, _ line: Int, _ column: Int, _ excerpt: String) {
            self.description = description
            bytes = Array(text.utf8)
            (self.line, self.column, self.excerpt) = (line, column, excerpt)
        }
    }

    @Test(
        "A diagnostic's position is the one that editors show",
        arguments: [
            Case("LF", "version: 1\nfoo: 1\n", 2, 1, "foo: 1\n^\n"),
            Case("CR LF", "version: 1\r\nfoo: 1\r\n", 2, 1, "foo: 1\n^\n"),
            Case("CR", "version: 1\rfoo: 1\r", 2, 1, "foo: 1\n^\n"),
            Case("a byte order mark", "\u{FEFF}version: 1\nfoo: 1\n", 2, 1, "foo: 1\n^\n"),
            Case("a byte order mark on the line", "\u{FEFF}foo: 1\nversion: 1\n", 1, 1, "foo: 1\n^\n"),
            Case(
                "letters of two bytes before it", "version: 1\nstate: { path: ü, foo: 1 }\n", 2, 19,
                "state: { path: ü, foo: 1 }\n                  ^\n"),
            Case("a tab before it", "version: 1\nstate:\t{\tfoo: 1 }\n", 2, 10, "state:\t{\tfoo: 1 }\n      \t \t^\n"),
            Case("no end of line", "version: 1\nfoo: 1", 2, 1, "foo: 1\n^\n"),
        ])
    func place(_ sample: Case) throws {
        let source = SourceText(name: "x", bytes: sample.bytes)
        let parsed = Configuration.parse(source)
        let diagnostic = try #require(parsed.diagnostics.first)
        #expect(diagnostic.position == SourcePosition(line: sample.line, column: sample.column))
        let text = DiagnosticRenderer(source, parsed.visibility).text([diagnostic])
        #expect(text.contains("\n" + sample.excerpt), "\(text)")
    }

    @Test("Colour is added only on request, and changes nothing else")
    func colour() {
        let source = SourceText(name: "x", "version: 1\nfoo: 1\n")
        let parsed = Configuration.parse(source)
        let diagnostics = parsed.diagnostics
        let plain = DiagnosticRenderer(source, parsed.visibility).text(diagnostics)
        let painted = DiagnosticRenderer(source, parsed.visibility, colour: true).text(diagnostics)
        #expect(!plain.contains("\u{1B}"))
        #expect(painted.contains("\u{1B}[1;31merror:"))
        #expect(painted.replacing(/\x1B\[[0-9;]*m/, with: "") == plain)
    }
}
