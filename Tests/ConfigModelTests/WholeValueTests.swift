import Testing

@testable import ConfigModel

/// A hidden value of a quoted line is hidden with its punctuation, which would show the form of a secret.
@Suite struct WholeValueTests {
    /// Texts in which SECRET stands for a value that must be hidden.
    static let texts = [
        "version: 1\nissuers: { cf: { type: cloudflare_origin, api_token: \"SECRET\" } }\n",
        "version: 1\nissuers: { cf: { type: cloudflare_origin, api_tokn: \"SECRET\", on_removal: keep } }\n",
        "version: 1\nissuers: { cf: { type: cloudflare_origin, api_token: 'SECRET', x: 1 } }\n",
        "version: 1\nencryption:\n  key: SECRET\n", "version: 1\nencryption:\n  kay: SECRET  # why\n",
        "version: 1\nencryption:\n  kay:\n    - SECRET\n", "version: 1\nencryption:\n  kay: |\n    SECRET\n",
        "version: 1\nencryption:\n  kay: \"one\n    SECRET\n    two\"\n",
        // Files that are no YAML.
        "version: 1\nencryption: { key: \"SECRET\" \n  other: [\n", "version: 1\nencryption:\n  key: SECRET\n - x\n",
        "version: 1\nissuers: { cf: { api_token: 'SECRET', type: x }\n",
        "version: 1\nencryption:\n  key: \"SECRET\nhosts: []\n",
    ]

    static let secrets = [
        "aB.c/d:e,f-7?x", "!aB@c.d%e", "{aB}", "aB[cD]eF", "$aB-c_d.e~f", "aB=cD==", "aB,cD;eF", "x.1.2.3.443.aB",
    ]

    @Test("A hidden value is hidden whole", arguments: texts, secrets)
    func whole(_ text: String, _ secret: String) throws {
        // Outside of quotes YAML reads some of these as other things than a text.
        guard text.contains("\"SECRET") || text.contains("'SECRET") || !"!{$".contains(secret.first ?? " ") else {
            return
        }
        let source = SourceText(name: "x", text.replacing("SECRET", with: secret))
        let visibility = Configuration.parse(source).visibility
        let lines = source.bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let number = try #require(lines.firstIndex { String(decoding: $0, as: UTF8.self).contains(secret) })
        let line = String(decoding: lines[number], as: UTF8.self)
        let start = try #require(line.range(of: secret)).lowerBound
        let column = line.unicodeScalars.distance(from: line.startIndex, to: start)
        let masked = visibility.masked(Array(line.unicodeScalars), number: number + 1)
        let shown = String(String.UnicodeScalarView(masked[column..<column + secret.unicodeScalars.count]))
        #expect(shown == String(repeating: "*", count: secret.count), "\(String(String.UnicodeScalarView(masked)))")
    }
}
