import ConfigModel
import Testing

/// A secret in the file must not come out of anything but the model itself.
@Suite struct SecretLeakTests {
    struct Case: CustomStringConvertible, Sendable {
        let description: String
        let text: String
    }

    static let canary = "hush-Canary-7391"

    static let cases = [
        Case(
            description: "plain text",
            text: "version: 1\nissuers:\n  cf: { type: cloudflare_origin, api_token: CANARY }\n"),
        Case(
            description: "a fault on the same line",
            text: "version: 1\nissuers:\n  cf: { type: cloudflare_origin, bogus: 1, api_token: \"CANARY\", worse: 2 }\n"
        ),
        Case(
            description: "a misspelt key",
            text: "version: 1\nissuers:\n  cf: { type: cloudflare_origin, api_tokn: CANARY, apitoken: CANARY }\n"),
        Case(
            description: "JSON",
            text:
                "{\"version\":1,\"issuers\":{\"cf\":{\"type\":\"cloudflare_origin\",\"api_token\":\"CANARY\",\"x\":1}}}"
        ),
        Case(
            description: "a value on the next line",
            text: "version: 1\nissuers:\n  cf:\n    type: cloudflare_origin\n    api_token:\n      CANARY: x: y\n"),
        Case(
            description: "a block with a fault in it",
            text:
                "version: 1\ncertificates:\n  s:\n    source: custom\n    key:\n      pem: |\n        CANARY\n        \u{1B}CANARY\n"
        ),
        Case(description: "an unclosed quote", text: "version: 1\nencryption:\n  key: \"CANARY\n"),
        Case(description: "a wrong type", text: "version: 1\nencryption:\n  key: [CANARY]\n"),
        Case(
            description: "a secret where a reference must be",
            text: "version: 1\nencryption:\n  key: { file: { x: CANARY } }\n"),
        Case(description: "a list where a reference must be", text: "version: 1\nencryption:\n  key: [a, CANARY]\n"),
        Case(description: "a misspelt reference", text: "version: 1\nencryption:\n  key: { text: CANARY }\n"),
        Case(
            description: "a password in a URL",
            text: "version: 1\nhosts:\n  - { domain: a.example.com, upstreams: [\"http://user:CANARY@127.0.0.1\"] }\n"),
        Case(
            description: "a password in half a URL",
            text: "version: 1\nhosts:\n  - { domain: a.example.com, upstreams: [\"user:CANARY@127.0.0.1\"] }\n"),
        Case(
            description: "key material anywhere",
            text: "version: 1\nhosts: [MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7hushCanary7391]\n"),
    ]

    @Test("Diagnostics don't show it", arguments: cases)
    func diagnostics(_ sample: Case) {
        let source = SourceText(name: "x", sample.text.replacing("CANARY", with: Self.canary))
        let parsed = Configuration.parse(source)
        let renderer = DiagnosticRenderer(source, colour: true)
        let json = renderer.values(parsed.diagnostics).json()
        #expect(!parsed.diagnostics.isEmpty)
        for output in [renderer.text(parsed.diagnostics), String(decoding: json, as: UTF8.self)] {
            #expect(!output.contains("Canary"), "\(output)")
        }
    }

    @Test("Records and dumps don't show it")
    func recordsAndDumps() throws {
        let text = "version: 1\nissuers:\n  cf: { type: cloudflare_origin, api_token: \(Self.canary) }\n"
        let configuration = try #require(Configuration.parse(SourceText(name: "x", text)).configuration)
        let record = String(decoding: configuration.issuers[0].record(.complete).json(), as: UTF8.self)
        var dumped = "\(configuration)"
        dump(configuration, to: &dumped)
        for output in [record, dumped, String(reflecting: configuration)] {
            #expect(!output.contains("Canary"), "\(output)")
        }
    }

    @Test("Another secret makes another record")
    func fingerprints() throws {
        let records = try ["one", "two", "one"].map { secret in
            let text = "version: 1\nissuers:\n  cf: { type: cloudflare_origin, api_token: \(secret) }\n"
            return try #require(Configuration.parse(SourceText(name: "x", text)).configuration).issuers[0].record(
                .compact)
        }
        #expect(records[0] != records[1])
        #expect(records[0] == records[2])
    }
}
