import Gateway
import Operations
import PKI
import State
import Testing

@testable import AdminAPI

/// What the pages show of a state.
@Suite struct PageTests {
    private let fixture: APIFixture
    /// The cookie of a session.
    private let cookie: String

    init() throws {
        fixture = try APIFixture()
        let secret = try AccessSecret.loginLink.make()
        try fixture.store.addLoginLink(
            LoginLink(
                digest: try #require(AccessSecret.loginLink.digest(of: secret)), createdBy: "ops@here",
                expiresAt: fixture.now + LoginLink.lifetimeSeconds),
            event: AuditEvent(
                at: fixture.now, actor: "ops@here", action: "create-login", item: ItemID(single: .gateway)))
        let answer = fixture.api.answer(
            AdminRequest(
                method: "POST", target: "/login/\(secret)", authority: "127.0.0.1:9443",
                fields: [("origin", "https://127.0.0.1:9443"), ("sec-fetch-site", "same-origin")], client: "127.0.0.1"))
        cookie = String(try #require(answer["Set-Cookie"]).prefix { $0 != ";" })
    }

    /// A page's text, without the places where a browser may break words.
    private func page(_ target: String) -> String {
        let answer = fixture.ask(target, fields: [("cookie", cookie)])
        #expect(answer.status == 200, "\(target)")
        return answer.text.replacing("<wbr>", with: "")
    }

    private func item(_ kind: ItemKind, _ name: String, _ record: String) -> StateMutation {
        .putItem(ItemID(kind, name), owner: .api, record: Array(record.utf8))
    }

    @Test("The search finds hosts by all their names, and certificates without a host")
    func search() throws {
        try fixture.commit(
            item(.host, "app.test", #"{"domain":"app.test","aliases":["www.other.test"],"respond":{}}"#),
            .putCertificate(fixture.certificate("mine", domains: ["lone.test"])))
        func counts(_ query: String) -> [String] {
            page("/?\(query)").matches(of: /(?:Hosts|Certificates without a host) \((\d+)\)/).map { String($0.1) }
        }
        #expect(counts("search=") == ["1", "1"])
        #expect(counts("search=WWW.other") == ["1"])
        #expect(counts("search=lone") == ["0", "1"])
        #expect(counts("search=mine") == ["0", "1"])
        #expect(counts("search=app") == ["1"])
        #expect(counts("search=none") == ["0"])
        #expect(counts("troubled=yes") == ["0"])
    }

    @Test("A certificate that is about to expire is trouble, with and without a host")
    func expiring() throws {
        try fixture.commit(
            .putCertificate(fixture.certificate("lone", domains: ["lone.test"], days: 2)),
            .putCertificate(fixture.certificate("later", domains: ["later.test"], days: 20)),
            .putCertificate(fixture.certificate("used", domains: ["a.test"], days: 2)),
            item(.host, "a.test", #"{"domain":"a.test","respond":{},"ssl_mode":"custom","certificate":"used"}"#))
        let overview = page("/?troubled=yes")
        #expect(overview.contains("<strong>certificate:lone</strong>: is about to expire"))
        #expect(!overview.contains("certificate:used") && !overview.contains("certificate:later"))
        #expect(overview.contains("Certificates without a host (2)") && overview.contains("Hosts (1)"))
        for (number, word) in [(1, "Problem</span> It is about to expire"), (2, "Warning</span> It expires soon")] {
            #expect(page("/certificates/\(number)").contains(word))
        }
        #expect(page("/certificates/3").contains("Problem</span> It is about to expire"))
    }

    @Test("A host's page has the events of its certificate")
    func events() throws {
        try fixture.commit(item(.host, "a.test", #"{"domain":"a.test","respond":{},"ssl_mode":"letsencrypt"}"#))
        func note(_ name: String, _ failure: String) throws {
            try fixture.store.record(
                events: [
                    AuditEvent(
                        at: fixture.now, actor: "gateway", action: "issue", item: ItemID(.certificate, name),
                        failure: failure)
                ])
        }
        try note("a.test", "the CA says no")
        try note("b.test", "another one's failure")
        let text = page("/hosts/a.test")
        #expect(text.contains("the CA says no") && !text.contains("another one"))
    }

    @Test("A renewal links to the page of its certificate or host, if there is one")
    func renewals() throws {
        try fixture.commit(
            item(.issuer, "lan", #"{"type":"local_ca"}"#),
            item(.host, "a.test", #"{"domain":"a.test","respond":{},"ssl_mode":"letsencrypt"}"#),
            item(.certificate, "named", #"{"issuer":"lan","domains":["named.test"]}"#))
        var progress = RenewalProgress(certificate: "gone.test")
        progress.failures = 1
        try fixture.store.putRenewal(progress)
        let text = page("/renewals")
        #expect(text.contains(#"<a href="/hosts/a.test">a.test</a>"#))
        for target in text.matches(of: /href="(\/(?:hosts|certificates)\/[^"]+)"/) { _ = page(String(target.1)) }
    }

    @Test("The page for strangers names the admin listener's own address")
    func strangers() throws {
        let standard = fixture.ask("/")
        #expect(standard.status == 401 && standard.text.contains("ssh -L 9443:127.0.0.1:9443 HOST"))
        for (listen, expected) in [
            ("[::1]:8443", "ssh -L 8443:[::1]:8443 HOST"), (":8443", "ssh -L 8443:127.0.0.1:8443 HOST"),
            ("192.0.2.1:9443", nil),
        ] {
            try fixture.commit(item(.gateway, "gateway", #"{"admin":"\#(listen)"}"#))
            let text = fixture.ask("/").text
            #expect(text.contains("aegis-apply admin login"))
            #expect(expected.map(text.contains) ?? !text.contains("ssh"), "\(text)")
        }
        fixture.removeState()
        #expect(fixture.ask("/").status == 401)
    }

    @Test("Long words of a table may be broken at dots, and else only after twenty characters")
    func breaks() {
        func broken(_ text: HTML) -> String { text.withBreaks.text.replacing("<wbr>", with: "|") }
        #expect(broken("certificate a.test is fine") == "certificate a.|test is fine")
        #expect(broken("<a href=\"/a.b\">a.b</a>") == "<a href=\"/a.b\">a.|b</a>")
        #expect(broken("12345678901234567890123") == "12345678901234567890|123")
        #expect(broken("1234567890123456789&amp;123") == "1234567890123456789&amp;|123")
        #expect(broken("12345678901234567890 123") == "12345678901234567890 123")
        #expect(broken("1234567890-123456789012") == "1234567890-123456789012")
    }
}
