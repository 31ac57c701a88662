import ConfigModel
import Operations
import PKI
import State
import TestSupport
import Testing

@testable import AdminAPI

/// Reports that are kept between requests.
@Suite struct StatusReportsTests {
    private let fixture: APIFixture
    private let reports = StatusReports()

    init() throws { fixture = try APIFixture() }

    private func host(_ name: String, _ settings: String = #""respond":{}"#, owner: StoredItem.Owner = .file)
        -> StateMutation
    {
        .putItem(ItemID(.host, name), owner: owner, record: Array(#"{"domain":"\#(name)",\#(settings)}"#.utf8))
    }

    /// What a report says, as text.
    private func text(_ report: StatusReport) -> String {
        let items = report.snapshot.items.sorted { $0.key < $1.key }
        return """
            \(report.snapshot.generation) \(report.snapshot.revision) \(items.map { "\($0.key) \($0.value)" })
            \(report.hosts)
            \(report.failing)
            \(report.conditions.sorted { $0.key < $1.key }) \(report.certificates)
            \(report.problems) \(report.hasProblem)
            """
    }

    private func expectCurrent(_ what: String) throws {
        let kept = try reports.report(of: fixture.store, machine: "here", now: fixture.now)
        let fresh = try StatusReport(of: fixture.store, machine: "here", now: fixture.now)
        #expect(text(kept) == text(fresh), "\(what)")
    }

    @Test("A kept report says what a new one says, after each change of the state and of the time")
    func follows() throws {
        let custom = #""ssl_mode":"custom","certificate":"shop""#
        try expectCurrent("nothing")
        let steps: [(String, [StateMutation])] = [
            ("hosts", (0..<20).map { host("h\($0).test") }),
            ("a host without its certificate", [host("a.test", custom)]),
            ("its certificate", [.putCertificate(try fixture.certificate("shop", domains: ["a.test"], days: 1))]),
            ("an alias that it does not cover", [host("a.test", custom + #","aliases":["b.test"]"#)]),
            ("another certificate", [.putCertificate(try fixture.certificate("shop", domains: ["a.test", "b.test"]))]),
            ("a certificate that stands in", [.putCertificate(try fixture.certificate("w", domains: ["*.test"]))]),
            ("a loss", [.noteLoss(certificate: "shop", fingerprint: "ab", reason: "was revoked")]),
            ("a deleted host", [.deleteItem(ItemID(.host, "h3.test"))]),
            ("a kept certificate", [.keepCertificate(name: "shop", since: fixture.now)]),
            ("a restored certificate", [.restoreCertificate(name: "shop")]),
            ("a lone certificate", [.putCertificate(try fixture.certificate("lone", domains: ["l.other"], days: 70))]),
            ("a deleted certificate", [.deleteItem(ItemID(.certificate, "w"))]),
            ("another owner", [host("h1.test", owner: .api)]),
            ("a record that can't be read", [.putItem(ItemID(.host, "h2.test"), owner: .file, record: [0x7B])]),
            ("a disabled host", [host("h4.test", #""enabled":false,"respond":{}"#)]),
            (
                "an issuer",
                [.putItem(ItemID(.issuer, "lan"), owner: .file, record: Array(#"{"type":"local_ca"}"#.utf8))]
            ),
            ("a generation", []),
        ]
        for (what, mutations) in steps {
            try fixture.store.commit(mutations, by: fixture.holder)
            try expectCurrent(what)
        }
        for days: Int64 in [60, 27, 10, 400] {
            fixture.now += days * 86_400
            try expectCurrent("\(days) days later")
        }
        fixture.now -= 500 * 86_400
        try expectCurrent("a clock that was set back")
    }

    @Test("A kept report follows what the time changes, although a commit came just afterwards")
    func expiryBeforeCommit() throws {
        fixture.now = 1_800_000_000
        #expect(fixture.now % 60 == 0)
        let custom = #""ssl_mode":"custom","certificate":"shop""#
        var certificate = try fixture.certificate("shop", domains: ["a.test"])
        certificate.facts.expiresAt = fixture.now + 30
        try fixture.commit(host("a.test", custom), .putCertificate(certificate))
        fixture.now += 10
        try expectCurrent("before its end")
        fixture.now += 30
        try fixture.commit(host("b.test"))
        _ = try reports.report(of: fixture.store, machine: "here", now: fixture.now)
        fixture.now += 60
        try expectCurrent("a minute later")
    }

    @Test("A host has a problem while a file of CAs that it verifies peers by can't be used")
    func authorityFiles() throws {
        let folder = try TemporaryFolder()
        let authority = try CertificateAuthority.makeRoot(commonName: "CA", now: fixture.now)
        let path = try folder.file("ca.pem", authority.certificate.pem)
        try fixture.commit(
            host("a.test", #""upstreams":["https://127.0.0.1:1"],"upstream_tls":{"ca_file":"\#(path)"}"#),
            host("b.test", #""respond":{},"client_auth":{"ca_file":"\#(path)"}"#, owner: .api),
            host("c.test", #""enabled":false,"respond":{},"client_auth":{"ca_file":"\#(path)"}"#), host("d.test"))
        func problems() throws -> [String?] {
            fixture.now += 1
            try expectCurrent("\(fixture.now)")
            let hosts = try reports.report(of: fixture.store, machine: "here", now: fixture.now).hosts
            let single = try hosts.map { host in
                try reports.host(host.name, of: fixture.store, now: fixture.now)?.problem
            }
            #expect(hosts.map(\.problem) == single)
            return single
        }
        #expect(try problems() == [nil, nil, nil, nil])
        for content in ["nothing", ""] {
            _ = try folder.file("ca.pem", content)
            #expect(
                try problems() == [
                    "'\(path)' of upstream_tls.ca_file can't be used as a list of CAs",
                    "'\(path)' of client_auth.ca_file can't be used as a list of CAs", nil, nil,
                ])
        }
        _ = try folder.file("ca.pem", authority.certificate.pem)
        #expect(try problems() == [nil, nil, nil, nil])
    }

    @Test("A kept report has failures that were recorded without a commit")
    func failures() throws {
        try fixture.commit(
            .putItem(ItemID(.issuer, "lan"), owner: .file, record: Array(#"{"type":"local_ca"}"#.utf8)),
            host("a.test", #""ssl_mode":"letsencrypt","issuer":"lan","respond":{}"#))
        try expectCurrent("before")
        var progress = RenewalProgress(certificate: "a.test")
        progress.failures = 2
        progress.nextTryAt = fixture.now + 60
        progress.lastFailure = "the CA is away"
        try fixture.store.putRenewal(progress)
        try expectCurrent("after a failure")
        let calendar = try reports.calendar(of: fixture.store)
        #expect(calendar.map(\.name) == ["a.test"])
        #expect(calendar.first?.dueAt == fixture.now + 60)
        fixture.now += 3600
        try expectCurrent("an hour later")
    }
}
