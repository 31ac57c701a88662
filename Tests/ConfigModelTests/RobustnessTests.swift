import TestSupport
import Testing

@testable import ConfigModel

/// Reading any bytes must end with a model or with diagnostics.
@Suite struct RobustnessTests {
    @Test("No prefix of a large file causes a trap", arguments: ["production.yaml", "aegis.yaml"])
    func prefixes(_ name: String) {
        let bytes = Sample(path: Repository.path("examples/\(name)")).bytes
        for length in 0...bytes.count {
            let parsed = Configuration.parse(SourceText(name: "x", bytes: Array(bytes[..<length])))
            #expect((parsed.configuration == nil) == parsed.diagnostics.contains { $0.severity == .error })
        }
    }

    @Test("No change of a single byte causes a trap")
    func mutations() {
        let bytes = Sample(path: Repository.path("examples/aegis.yaml")).bytes
        for index in bytes.indices {
            for replacement in [0x00, 0x09, 0x0A, 0x22, 0x26, 0x2A, 0x3A, 0x5B, 0x7B, 0x7D, 0x80, 0xC2, 0xE2, 0xFF]
                as [UInt8]
            {
                var mutated = bytes
                mutated[index] = replacement
                let parsed = Configuration.parse(SourceText(name: "x", bytes: mutated))
                #expect((parsed.configuration == nil) == parsed.diagnostics.contains { $0.severity == .error })
            }
        }
    }

    @Test("A file of more than 64 MiB is refused, one of 64 MiB is read")
    func size() {
        var bytes = Array("version: 1\n".utf8)
        bytes += [UInt8](repeating: UInt8(ascii: "\n"), count: SourceText.maxBytes - bytes.count)
        #expect(Configuration.parse(SourceText(name: "x", bytes: bytes)).configuration != nil)
        bytes.append(UInt8(ascii: "\n"))
        let parsed = Configuration.parse(SourceText(name: "x", bytes: bytes))
        #expect(parsed.diagnostics.map(\.message) == ["the file is larger than 64 MiB, the most that is read"])
    }

    @Test("The number of reported problems is limited")
    func manyProblems() {
        let text = "version: 1\nhosts: [" + String(repeating: "1,", count: 50_000) + "1]\n"
        let parsed = Configuration.parse(SourceText(name: "x", text))
        #expect(parsed.diagnostics.count == 10_001)
        #expect(parsed.diagnostics.last?.message == "too many errors; the rest is not shown")
    }

    @Test("A fault repeated by aliases counts once in the list of problems")
    func repeatedProblem() {
        let text = "version: 1\nhosts: [&a 1," + String(repeating: "*a,", count: 20_000) + "2]\n"
        let parsed = Configuration.parse(SourceText(name: "x", text))
        #expect(
            parsed.diagnostics.map(\.position) == [
                SourcePosition(line: 2, column: 9), SourcePosition(line: 2, column: 14 + 3 * 20_000),
            ])
        #expect(!parsed.diagnostics.contains { $0.message.hasPrefix("too many") })
    }

    @Test("A warning does not hide an error with the same text and place")
    func sameWords() {
        var list = DiagnosticList()
        for severity in [Diagnostic.Severity.warning, .error, .error] {
            list.append(Diagnostic(severity, at: .start, "odd"))
        }
        #expect(list.sorted().map(\.severity) == [.warning, .error])
        #expect(list.hasErrors)
    }

    @Test("Too many values are refused")
    func manyValues() {
        let text = "a: [" + String(repeating: "1,", count: 10_000_000) + "1]\n"
        let parsed = Configuration.parse(SourceText(name: "x", text))
        #expect(parsed.diagnostics.map(\.message) == ["the file has more than 10000000 values"])
    }

    @Test("A fault in a very long line is reported without quoting the line")
    func longLine() {
        let text = "version: 1\nstate: { path: \"" + String(repeating: "a", count: 100_000) + "\" }\n"
        let source = SourceText(name: "x", text)
        let parsed = Configuration.parse(source)
        let rendered = DiagnosticRenderer(source, parsed.visibility).text(parsed.diagnostics)
        #expect(rendered == "x:2:16: error: longer than 4096 bytes\n")
    }
}
