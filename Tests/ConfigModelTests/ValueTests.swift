import Testing

@testable import ConfigModel

@Suite struct ValueTests {
    @Test(
        "Sizes and durations are written as they were read",
        arguments: ["1B", "1023B", "32KiB", "10MiB", "7GiB", "0"])
    func sizes(_ text: String) throws {
        #expect(ByteSize.format(text == "0" ? 0 : try ByteSize.parse(text)) == text)
    }

    @Test(
        "Durations are written in the largest fitting unit",
        arguments: [("90s", "90s"), ("60s", "1m"), ("24h", "1d"), ("1500ms", "1500ms"), ("2000ms", "2s")])
    func durations(_ written: String, _ expected: String) throws {
        #expect(TimeSpan.format(try TimeSpan.parse(written)) == expected)
    }

    @Test(
        "Host names are converted to their wire form",
        arguments: [
            ("Example.COM", "example.com"), ("*.Example.com", "*.example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("*.bücher.example", "*.xn--bcher-kva.example"), ("BÜCHER.example", "xn--bcher-kva.example"),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah"), ("straße.example", "xn--strae-oqa.example"),
            ("localhost", "localhost"),
            ("a-b.c1", "a-b.c1"), ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ])
    func domains(_ written: String, _ expected: String) throws {
        #expect(try DomainName.parse(written).text == expected)
    }

    @Test(
        "A wildcard covers exactly one label",
        arguments: [
            ("*.example.com", "app.example.com", true), ("*.example.com", "a.b.example.com", false),
            ("*.example.com", "example.com", false), ("*.example.com", "*.example.com", true),
            ("example.com", "example.com", true), ("example.com", "app.example.com", false),
            ("*.example.com", "appexample.com", false), ("*.b.example.com", "*.example.com", false),
        ])
    func coverage(_ pattern: String, _ name: String, _ expected: Bool) throws {
        #expect(try DomainName.parse(pattern).covers(DomainName.parse(name)) == expected)
    }

    @Test(
        "Upstreams and listeners are kept in a canonical form",
        arguments: [
            ("http://127.0.0.1:80/", "http://127.0.0.1"), ("HTTPS://Backend.Example:443", "https://backend.example"),
            ("http://[::1]:3000", "http://[::1]:3000"), ("unix:/run/a.sock", "unix:/run/a.sock"),
        ])
    func upstreams(_ written: String, _ expected: String) throws {
        #expect(try Upstream.parse(written).text == expected)
    }

    @Test(
        "Plain scalars get their type by the core schema of YAML 1.2",
        arguments: [
            ("", YAMLScalarType.null), ("~", .null), ("null", .null), ("true", .bool(true)), ("False", .bool(false)),
            ("yes", .text), ("on", .text), ("0", .integer), ("-12", .integer), ("0o17", .integer), ("0xFF", .integer),
            ("017", .integer), ("1.5", .float), (".5", .float), ("1e3", .float), ("-.inf", .float), (".nan", .float),
            ("1.2.3", .text), ("10.0.0.0/8", .text), ("1:30", .text), ("-", .text), (".", .text), ("0x", .text),
            ("1e", .text), ("nullo", .text), ("2020-01-01", .text), ("1_000", .text),
        ])
    func scalars(_ text: String, _ expected: YAMLScalarType) {
        #expect(YAMLScalarType(plain: Array(text.utf8)[...]) == expected)
    }

    @Test("An address followed by a NUL is not an address")
    func addressWithNUL() {
        #expect(IPAddress("127.0.0.1\0") == nil)
        #expect(IPAddress("::1\0x") == nil)
    }

    @Test(
        "A misspelling gets a suggestion, an unrelated word does not",
        arguments: [
            ("upstrems", "upstreams"), ("usptreams", "upstreams"), ("UPSTREAMS", "upstreams"), ("domains", "domain"),
            ("banana", nil), ("", nil), ("x", nil),
        ])
    func suggestions(_ typed: String, _ expected: String?) {
        #expect(Suggestion.nearest(to: typed, in: ["domain", "upstreams", "aliases"]) == expected)
    }

    @Test(
        "An abbreviation gets the word that it stands for, if there is only one",
        arguments: [
            ("certs", "certificates"), ("cert", "certificates"), ("edge_certs", "edge_certificates"), ("host", "hosts"),
            ("Gate", "gateway"), ("ale", "alerts"), ("al", nil), ("edge_ca", nil),
        ])
    func abbreviations(_ typed: String, _ expected: String?) {
        let known = ["alerts", "certificates", "edge_certificates", "gateway", "hosts"]
        #expect(Suggestion.nearest(to: typed, in: known) == expected)
    }
}
