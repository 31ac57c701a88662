import ConfigModel
import TestSupport
import Testing

/// An item must be equal after it was written to a record and read back.
@Suite struct RecordTests {
    private static let samples =
        Sample.valid + ["production.yaml", "mtls.yaml"].map { Sample(path: Repository.path("examples/\($0)")) }

    @Test("A record is read back as the value it was made from", arguments: samples)
    func roundTrip(_ sample: Sample) throws {
        let source = SourceText(name: "x", bytes: sample.bytes)
        let configuration = try #require(Configuration.parse(source).configuration)
        try check(configuration.gateway)
        try configuration.hosts.forEach(check)
        try configuration.hosts.compactMap(HostCertificate.init).forEach(check)
        if let node = configuration.node { try check(node) }
        try configuration.identities.forEach(check)
        try configuration.vaults.forEach(check)
        if let alerts = configuration.alerts { try check(alerts) }
        try configuration.issuers.forEach(check)
        try configuration.certificates.forEach(check)
        try configuration.edgeCertificates.forEach(check)
    }

    private func check<Value: Recorded>(_ value: Value) throws {
        let read = try #require(Value(record: value.record(.compact).json()))
        #expect(read.record(.compact) == value.record(.compact))
        #expect(read.record(.complete) == value.record(.complete))
    }

    @Test("The record of a host with defaults contains only its name")
    func compactness() throws {
        let text =
            "version: 1\nhosts:\n  - { domain: a.example.com, respond: {}, enabled: true, balance: round_robin }\n"
        let configuration = try #require(Configuration.parse(SourceText(name: "x", text)).configuration)
        let record = String(decoding: configuration.hosts[0].record(.compact).json(), as: UTF8.self)
        #expect(record == #"{"domain":"a.example.com","respond":{}}"#)
    }

    @Test("A record with the former key ca_file is read as upstream_tls.ca_file")
    func formerKey() throws {
        let former = #"{"domain":"a.example.com","upstreams":["https://10.0.0.1"],"ca_file":"ca.pem"}"#
        let host = try #require(Host(record: Array(former.utf8)))
        #expect(host.upstreamTLS?.caFile == "ca.pem")
        let present =
            #"{"domain":"a.example.com","upstreams":["https://10.0.0.1"],"upstream_tls":{"ca_file":"ca.pem"}}"#
        #expect(String(decoding: host.record(.compact).json(), as: UTF8.self) == present)
    }

    @Test(
        "A text with any line separator of YAML is read back unchanged",
        arguments: ["a\u{85}b", "a\u{2028}b", "\u{2029}", "a \u{85} b\u{A0}c\u{20AC}", "é\r\n\tx\u{7F}"])
    func lineEnds(_ text: String) throws {
        var host = try #require(Host(record: Array(#"{"domain":"a.example.com","respond":{}}"#.utf8)))
        host.respond?.body = text
        let read = try #require(Host(record: host.record(.compact).json()))
        #expect(read.respond.map { Array($0.body.utf8) } == Array(text.utf8))
    }

    @Test("A value written as YAML is read back as the same value")
    func yaml() throws {
        let text = #"""
            {"domain":"a.example.com","aliases":["b.example.com","*.c.example.com"],"upstreams":["http://127.0.0.1:1"],\#
            "headers":{"request":{"set":{"x-a":"yes","x-b":"1.0","x-c":"a: b # c","x-d":"- \"e\"","x-e":"null"}},\#
            "response":{"remove":["server"]}},"preserve_host":false,"timeouts":{"read":"1h"},"limits":{"body_bytes":0}}
            """#
        let host = try #require(Host(record: Array(text.utf8)))
        #expect(
            PlainValue.map([("hosts", .list([host.record(.compact)]))]).yaml() == """
                hosts:
                  - domain: a.example.com
                    aliases: [b.example.com, "*.c.example.com"]
                    upstreams: ["http://127.0.0.1:1"]
                    headers:
                      request:
                        set:
                          x-a: "yes"
                          x-b: "1.0"
                          x-c: "a: b # c"
                          x-d: "- \\"e\\""
                          x-e: "null"
                      response:
                        remove: [server]
                    preserve_host: false
                    timeouts:
                      read: "1h"
                    limits:
                      body_bytes: "0"

                """)
        let one = PlainValue.map([("version", .int(1)), ("hosts", .list([host.record(.compact)]))]).yaml()
        #expect(Configuration.parse(SourceText(name: "x", one)).configuration?.hosts == [host])
    }

    @Test(
        "Bytes that are not a record are not read", arguments: ["", "{", "[]", "{\"domain\":1}", "{\"foo\":1}", "null"])
    func garbage(_ text: String) {
        #expect(Host(record: Array(text.utf8)) == nil)
    }
}
