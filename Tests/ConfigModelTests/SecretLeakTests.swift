import ConfigModel
import Testing

/// No output except the model itself may contain a secret of the file.
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

    @Test("Diagnostics don't show a secret", arguments: cases)
    func diagnostics(_ sample: Case) {
        let source = SourceText(name: "x", sample.text.replacing("CANARY", with: Self.canary))
        let parsed = Configuration.parse(source)
        let renderer = DiagnosticRenderer(source, parsed.visibility, colour: true)
        let json = renderer.values(parsed.diagnostics).json()
        #expect(!parsed.diagnostics.isEmpty)
        for output in [renderer.text(parsed.diagnostics), String(decoding: json, as: UTF8.self)] {
            #expect(!output.contains("Canary"), "\(output)")
        }
    }

    /// A file in which every secret is a canary. Tests break it.
    private static let file = """
        version: 1
        encryption:
          key: "\(canary)"
        issuers:
          cf:
            type: cloudflare_origin
            api_token: \(canary)
            origin_ca_key: '\(canary)'
          zs: { type: acme, directory: "https://x.example.com/d", eab: { kid: "an-id", hmac_key: \(canary) } }
          dn:
            type: acme
            directory: https://x.example.com/d?token=\(canary)
            challenge: dns-01
            dns: { provider: webhook, url: "https://d.example.com", token: \(canary) }
        vaults:
          one: { address: "https://v.example.com", auth: { method: token, token: \(canary) } }
          two:
            address: https://v.example.com
            auth: { method: approle, role_id: '\(canary)', secret_id: "\(canary)" }
          six: { address: "https://v.example.com", auth: { method: jwt, role: r, token: \(canary) } }
        alerts: { webhook: { url: "https://a.example.com/?token=\(canary)", token: \(canary) } }
        certificates:
          shop:
            source: custom
            cert: { file: a.pem }
            key:
              pem: |
                -----BEGIN PRIVATE KEY-----
                \(canary)
        hosts:
          - domain: a.example.com
            upstreams: ["http://user:\(canary)@127.0.0.1"]
            headers: { request: { set: { Authorization: Bearer \(canary) } } }
        """

    @Test("However a file is broken, no diagnostic shows a secret", arguments: 0..<20)
    func brokenFiles(_ seed: Int) {
        var generator = SeededGenerator(state: UInt64(seed) + 1)
        for _ in 0..<50 {
            let text = Self.broken(Self.file, &generator)
            let source = SourceText(name: "x", text)
            let parsed = Configuration.parse(source)
            let renderer = DiagnosticRenderer(source, parsed.visibility)
            let json = String(decoding: renderer.values(parsed.diagnostics).json(), as: UTF8.self)
            for output in [renderer.text(parsed.diagnostics), json] {
                #expect(!output.contains("Canary"), "\(text)\n\(output)")
            }
        }
    }

    /// The text with one or two mistakes of the kinds that people make.
    private static func broken(_ text: String, _ generator: inout SeededGenerator) -> String {
        var lines = text.split(separator: "\n").map(String.init)
        for _ in 0..<Int.random(in: 1...2, using: &generator) {
            let index = Int.random(in: 0..<lines.count, using: &generator)
            let line = lines[index]
            let middle = line.index(line.startIndex, offsetBy: Int.random(in: 0...line.count, using: &generator))
            switch Int.random(in: 0..<9, using: &generator) {
            case 0: lines.remove(at: index)
            case 1: lines[index] = "  " + line
            case 2: lines[index] = String(line.drop { $0 == " " })
            case 3: lines[index] = line.replacing(": ", with: ":")
            case 4: lines[index] = line.replacing(": ", with: " ")
            case 5: lines[index] = line.replacing(": ", with: ":\n")
            case 6:
                let marks = Array("{}[]:,\"'|>&*!%@`#\t -?~")
                lines[index] =
                    line[..<middle] + String(marks[Int.random(in: 0..<marks.count, using: &generator)])
                    + line[middle...]
            case 7:
                let forms = [
                    "{ \(canary) }", "[\(canary)]", "*\(canary)", "!\(canary)", "\(canary): x", "? \(canary)",
                    "{ env: \(canary) }",
                ]
                lines[index] = line.replacing(canary, with: forms[Int.random(in: 0..<forms.count, using: &generator)])
            default:
                let keys = ["auth", "value", "apitoken", "bearer", "tok", "file"]
                let key = keys[Int.random(in: 0..<keys.count, using: &generator)]
                lines[index] = line.replacing("api_token", with: key).replacing("key:", with: "\(key):")
            }
        }
        return lines.joined(separator: "\n")
    }

    @Test("Records and dumps don't show a secret")
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

    @Test("A changed secret changes the record")
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

/// SplitMix64: the same numbers for the same seed, so that a failure can be repeated.
private struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
