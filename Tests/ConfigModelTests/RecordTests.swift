import ConfigModel
import TestSupport
import Testing

/// What the state keeps of an item reads back as the same item.
@Suite struct RecordTests {
    private static let samples = Sample.valid + [Sample(path: Repository.path("examples/production.yaml"))]

    @Test("Records read back as what they were made of", arguments: samples)
    func roundTrip(_ sample: Sample) throws {
        let source = SourceText(name: "x", bytes: sample.bytes)
        let configuration = try #require(Configuration.parse(source).configuration)
        try check(configuration.gateway)
        try configuration.hosts.forEach(check)
        try configuration.hosts.compactMap(HostCertificate.init).forEach(check)
        try configuration.issuers.forEach(check)
        try configuration.certificates.forEach(check)
        try configuration.edgeCertificates.forEach(check)
    }

    private func check<Value: Recorded>(_ value: Value) throws {
        let read = try #require(Value(record: value.record(.compact).json()))
        #expect(read.record(.compact) == value.record(.compact))
        #expect(read.record(.complete) == value.record(.complete))
    }

    @Test("A host with defaults has a record of its name alone")
    func compactness() throws {
        let text =
            "version: 1\nhosts:\n  - { domain: a.example.com, respond: {}, enabled: true, balance: round_robin }\n"
        let configuration = try #require(Configuration.parse(SourceText(name: "x", text)).configuration)
        let record = String(decoding: configuration.hosts[0].record(.compact).json(), as: UTF8.self)
        #expect(record == #"{"domain":"a.example.com","respond":{}}"#)
    }

    @Test("What is no record is not read", arguments: ["", "{", "[]", "{\"domain\":1}", "{\"foo\":1}", "null"])
    func garbage(_ text: String) {
        #expect(Host(record: Array(text.utf8)) == nil)
    }
}
