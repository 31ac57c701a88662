import ConfigModel
import TestSupport
import Testing

/// Beside each sample file is a file with the exact text that an operator sees.
@Suite struct DiagnosticGoldenTests {
    @Test("Each invalid file gives exactly the expected diagnostics", arguments: Sample.invalid)
    func invalidFile(_ sample: Sample) throws {
        let source = SourceText(name: "aegis.yaml", bytes: sample.bytes)
        let parsed = Configuration.parse(source)
        #expect(parsed.configuration == nil)
        let text = DiagnosticRenderer(source, parsed.visibility).text(parsed.diagnostics)
        #expect(text == (try Golden.expected(at: sample.goldenPath, recording: text)))
    }

    @Test("Each valid file is read with exactly the expected warnings", arguments: Sample.valid)
    func validFile(_ sample: Sample) throws {
        let source = SourceText(name: "aegis.yaml", bytes: sample.bytes)
        let parsed = Configuration.parse(source)
        #expect(parsed.configuration != nil)
        let text = DiagnosticRenderer(source, parsed.visibility).text(parsed.diagnostics)
        let isExpected = sample.name.hasPrefix("warnings")
        #expect(text.isEmpty == !isExpected)
        if isExpected { #expect(text == (try Golden.expected(at: sample.goldenPath, recording: text))) }
    }

    @Test("There are at least as many samples as required")
    func enoughSamples() {
        #expect(Sample.invalid.count >= 60)
        #expect(Sample.valid.count >= 15)
    }

    @Test("Each diagnostic's line and column point into the file", arguments: Sample.invalid)
    func placesExist(_ sample: Sample) {
        let text = String(decoding: sample.bytes, as: UTF8.self)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        for diagnostic in Configuration.parse(SourceText(name: "x", bytes: sample.bytes)).diagnostics {
            #expect((1...lines.count).contains(diagnostic.position.line))
            let line = lines[min(lines.count, diagnostic.position.line) - 1]
            #expect((1...(line.unicodeScalars.count + 1)).contains(diagnostic.position.column))
        }
    }

    @Test("Diagnostics are in the order of the file", arguments: Sample.invalid)
    func sorted(_ sample: Sample) {
        let positions = Configuration.parse(SourceText(name: "x", bytes: sample.bytes)).diagnostics.map(\.position)
        #expect(positions == positions.sorted())
    }
}
