import Gateway
import Operations
import State
import Testing

@testable import AdminAPI

@Suite struct SessionTests {
    private let fixture: APIFixture

    init() throws { fixture = try APIFixture() }

    private let own = [("origin", "https://127.0.0.1:9443"), ("sec-fetch-site", "same-origin")]

    /// The secret of a new link.
    private func link(lasting seconds: Int64 = LoginLink.lifetimeSeconds) throws -> String {
        let secret = try AccessSecret.loginLink.make()
        let digest = try #require(AccessSecret.loginLink.digest(of: secret))
        try fixture.store.addLoginLink(
            LoginLink(digest: digest, createdBy: "ops@here", expiresAt: fixture.now + seconds),
            event: AuditEvent(
                at: fixture.now, actor: "ops@here", action: "create-login", item: ItemID(single: .gateway)))
        return secret
    }

    private func send(
        _ target: String, _ fields: [(String, String)], client: String = "127.0.0.1", method: String = "POST",
        body: String = "", mayChange: Bool = true
    ) -> AdminResponse {
        let type = body.isEmpty ? [] : [("content-type", "application/x-www-form-urlencoded")]
        return fixture.api.answer(
            AdminRequest(
                method: method, target: target, authority: "127.0.0.1:9443",
                fields: (fields + type).map { (name: $0.0, value: $0.1) }, body: Array(body.utf8), client: client,
                network: 1, requestID: "request-1", mayChange: mayChange))
    }

    /// The Cookie field of a new session.
    private func session() throws -> (String, String) {
        let answer = send("/login/\(try link())", own)
        #expect(answer.status == 303)
        let cookie = try #require(answer["Set-Cookie"])
        return ("cookie", String(cookie.prefix { $0 != ";" }))
    }

    private func status(_ cookie: (String, String)) -> Int { send("/", [cookie], method: "GET").status }

    @Test("A link opens one session, within two minutes, from this machine, from its own page")
    func links() throws {
        let secret = try link()
        #expect(send("/login/\(secret)", []).status == 403)
        #expect(send("/login/\(secret)", [own[0]]).status == 403)
        #expect(send("/login/\(secret)", own, client: "192.0.2.7").status == 403)
        let answer = send("/login/\(secret)", own)
        #expect(answer.status == 303 && answer["Location"] == "/")
        #expect(send("/login/\(secret)", own).status == 403)
        #expect(send("/login/\(try link(lasting: 120))", own, client: "::1").status == 303)
        let late = try link()
        fixture.now += 120
        #expect(send("/login/\(late)", own).status == 403)
        #expect(send("/login/\(try AccessSecret.loginLink.make())", own).status == 403)
        #expect(send("/login/x", own).status == 403)
    }

    @Test("A session ends after twelve hours, and after an hour without use")
    func ends() throws {
        let idle = try session()
        #expect(status(idle) == 200)
        fixture.now += 3599
        #expect(status(idle) == 200)
        fixture.now += 3600
        #expect(status(idle) == 401)
        let used = try session()
        for _ in 0..<23 {
            fixture.now += 1800
            #expect(status(used) == 200)
        }
        fixture.now += 1800
        #expect(status(used) == 401)
    }

    @Test("The oldest session ends when there are too many")
    func manySessions() throws {
        let first = try session()
        fixture.now += 1
        let others = try (0..<AdminSession.most).map { _ in try session() }
        #expect(status(first) == 401)
        #expect(status(others[0]) == 200)
    }

    @Test("Only the exact cookie counts")
    func cookies() throws {
        let (_, cookie) = try session()
        let (_, other) = try session()
        #expect(status(("cookie", "a=b; \(cookie); c=d")) == 200)
        #expect(status(("cookie", "\(cookie); \(cookie)")) == 200)
        for bad in [
            "\(cookie); \(other)", "\(cookie)A", String(cookie.dropLast()), "__Host-aegis=", "aegis=x", "\(cookie)\"",
        ] {
            #expect(status(("cookie", bad)) == 401)
        }
        #expect(send("/", [("authorization", "Bearer \(try fixture.token())")], method: "GET").status == 401)
    }

    @Test("A session may look at the API, and change something with the page's token alone")
    func api() throws {
        let cookie = try session()
        let secret = String(cookie.1.dropFirst("__Host-aegis=".count))
        #expect(send("/api/v1/hosts", [cookie], method: "GET").status == 200)
        let body = "domain=new.test&ssl_mode=none&upstreams=http%3A%2F%2F127.0.0.1%3A3000"
        let token = SessionCookie.changeToken(of: secret)
        for fields in [[cookie], [cookie] + own] { #expect(send("/add/host", fields, body: body).status == 403) }
        let withToken = "\(body)&_csrf=\(token)"
        #expect(send("/add/host", [cookie, own[0]], body: withToken).status == 403)
        #expect(send("/add/host", [cookie] + own, body: withToken, mayChange: false).status == 403)
        let made = send("/add/host", [cookie] + own, body: withToken)
        #expect(made.status == 303 && made["Location"] == "/hosts/new.test?done=saved")
        let (event) = try #require(try fixture.store.events(EventQuery()).last?.event)
        #expect((event.actor, event.action) == ("person:ops@here", "create"))
        #expect(token != secret && !token.contains(secret))
    }

    @Test("What is written on a page is escaped")
    func escaping() {
        let text = #"<b a="1" c='2'>&é"#
        #expect(("<p>\(text)</p>" as HTML).text == "<p>&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;é</p>")
        let pieces: [HTML] = ["<b>", "</b>"]
        #expect(("\(pieces.isEmpty ? "<p>" : "<u>\(pieces)</u>")" as HTML).text == "<u><b></b></u>")
        #expect(("\("<i>" as HTML)\(Optional<HTML>.none)\([HTML("x"), "y"])\(7)" as HTML).text == "<i>xy7")
    }

    @Test(
        "A form is read as browsers send it",
        arguments: [
            ("a=1&b=x+y%26%3D", ["a": "1", "b": "x y&="]), ("a", ["a": ""]), ("a=%C3%A9", ["a": "é"]), ("", [:]),
        ])
    func forms(_ body: String, _ expected: [String: String]) throws {
        let form = try PageForm(request(body))
        for (name, value) in expected { #expect(form[name] == value) }
        #expect(form["c"] == nil)
    }

    @Test("A malformed form is refused", arguments: ["a=%", "a=%4", "a=%GG", "a=%FF"])
    func malformedForms(_ body: String) { #expect(throws: Problem.self) { try PageForm(request(body)) } }

    private func request(_ body: String) -> AdminRequest {
        AdminRequest(
            method: "POST", target: "/", fields: [("content-type", "application/x-www-form-urlencoded; charset=UTF-8")],
            body: Array(body.utf8))
    }
}
