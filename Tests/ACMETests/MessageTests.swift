import Remote
import Testing

@testable import ACME

@Suite struct MessageTests {
    @Test("A directory is read, and what we don't know of it is passed over")
    func directory() throws {
        let directory = try ACMEDirectory(Array(ScriptedEdge.directory.utf8))
        #expect(directory.newOrder.text == "https://ca.test/order")
        #expect(directory.renewalInfo?.text == "https://ca.test/renewal")
        #expect(directory.caaIdentities == ["ca.test"])
        #expect(directory.profiles.keys.sorted() == ["classic", "short"])
        #expect(!directory.isExternalAccountRequired)
    }

    struct BadDirectory: Sendable, CustomTestStringConvertible {
        let from: String
        let to: String
        let says: String
        var testDescription: String { says }
    }

    static let badDirectories = [
        BadDirectory(
            from: "https://ca.test/order", to: "http://ca.test/order",
            says: "the CA's directory's newOrder can't be used: 'http://ca.test/order' is no https URL"),
        BadDirectory(
            from: "https://ca.test/renewal", to: "HTTP://ca.test/renewal",
            says: "the CA's directory's renewalInfo can't be used: 'HTTP://ca.test/renewal' is no https URL"),
        BadDirectory(
            from: #""newNonce": "https://ca.test/nonce","#, to: "",
            says: "the CA's directory can't be used: 'newNonce' is missing"),
        BadDirectory(
            from: #""https://ca.test/nonce""#, to: "[1]",
            says: "the CA's directory can't be used: 'newNonce' is of the wrong type"),
        BadDirectory(from: "{", to: "", says: "the CA's directory can't be used: it is no JSON"),
    ]

    @Test("A directory that can't be trusted is refused", arguments: badDirectories)
    func badDirectory(_ bad: BadDirectory) throws {
        let text = ScriptedEdge.directory.replacing(bad.from, with: bad.to, maxReplacements: 1)
        let error = #expect(throws: ACMEError.self) { try ACMEDirectory(Array(text.utf8)) }
        #expect(error?.description == bad.says)
    }

    @Test(
        "URLs of the right kind are taken as they are written",
        arguments: [
            "https://ca.test", "https://CA.test:14000/dir", "HTTPS://ca.test/a?b=c&d=%2F", "https://[::1]:14000/dir",
            "https://127.0.0.1/~a/(b)/c;d",
        ])
    func url(_ text: String) throws {
        #expect(try ACMEURL(text).text == text)
    }

    @Test(
        "Other URLs are refused",
        arguments: [
            "", "https://", "https:///path", "ftp://ca.test/", "https://user@ca.test/", "https://ca.test/#a",
            "https://ca.test/a b", "https://ca.test/\u{E9}", "https://ca.test/%2", "https://ca.test/%zz",
            "https://ca.test/\r\nHost: x", "https://ca.test:/", "https://ca.test:123456/", "https://ca.test:80x/",
            "https://[::1/", "https://[]/", "https://[::1]x/", "https://ca.test\\x/", "https://ca.test/\"", "//ca.test",
            "https://ca.test/" + String(repeating: "a", count: 2048),
        ])
    func badURL(_ text: String) {
        #expect(throws: ACMEError.self) { try ACMEURL(text) }
    }

    @Test("An order is read")
    func order() throws {
        let text = Samples.order("valid", more: #", "certificate": "https://ca.test/cert/1""#)
        let order = try ACMEOrder(Array(text.utf8), url: ACMEURL("https://ca.test/order/1"), retryAfter: .seconds(3))
        #expect(order.status == .valid)
        #expect(order.identifiers == [.dns("www.example.com"), .ip("192.0.2.1")])
        #expect(order.authorizations.map(\.text) == ["https://ca.test/authz/1", "https://ca.test/authz/2"])
        #expect(order.certificate?.text == "https://ca.test/cert/1")
        #expect(order.expires == 1_800_000_000)
        #expect(order.retryAfter == .seconds(3))
    }

    @Test(
        "An order with a plain http URL, a status of its own or a strange name is refused",
        arguments: [
            ("https://ca.test/authz/2", "http://ca.test/authz/2"), ("https://ca.test/order/1/f", "http://ca.test/f"),
            ("pending", "waiting"), ("www.example.com", "www/../example"), (#""dns""#, #""email""#),
            (#""type": "ip""#, #""type": "dns""#),
        ])
    func badOrder(_ from: String, _ to: String) throws {
        let text = Samples.order("pending").replacing(from, with: to)
        let url = try ACMEURL("https://ca.test/order/1")
        #expect(throws: ACMEError.self) { try ACMEOrder(Array(text.utf8), url: url, retryAfter: nil) }
    }

    private func authorization(_ text: String) throws -> ACMEAuthorization {
        try ACMEAuthorization(Array(text.utf8), url: ACMEURL("https://ca.test/authz/1"), retryAfter: nil)
    }

    @Test("An authorization is read, and of challenges that we don't know the type alone")
    func authorization() throws {
        let read = try authorization(
            Samples.authorization(
                "example.com",
                challenges: [
                    Samples.challenge("dns-01", 1), #"{"type": "dns-persist-01", "url": "http://x", "token": 5}"#,
                    Samples.challenge("http-01", 2, status: "processing"),
                ], more: #", "wildcard": true"#))
        #expect(read.name == "*.example.com")
        #expect(read.challenges.map(\.type) == [.dns01, .http01])
        #expect(read.challenges.map(\.token) == ["token-1", "token-2"])
        #expect(read.challenges.map(\.status) == [.pending, .processing])
        #expect(read.offeredTypes == ["dns-01", "dns-persist-01", "http-01"])
    }

    @Test(
        "A token that is more than base64url is refused",
        arguments: ["", "../etc/passwd", "a/b", "a.b", "a\\u0000", "a b", "\u{E9}", String(repeating: "a", count: 257)])
    func badToken(_ token: String) throws {
        let text = Samples.authorization("a.test", challenges: [Samples.challenge("http-01", 1)])
            .replacing("token-1", with: token)
        let error = #expect(throws: ACMEError.self) { try authorization(text) }
        #expect(error == .malformed("challenge", reason: "its token is not 1 to 256 digits of base64url"))
    }

    @Test("A problem is told in full on one line")
    func problem() throws {
        let body = """
            {"type": "urn:ietf:params:acme:error:malformed", "title": "not used", "detail": "Some of it\\nfailed",
            "status": 400, "subproblems": [
            {"type": "urn:ietf:params:acme:error:unauthorized", "detail": "Wrong\\u001b[31m answer",
            "identifier": {"type": "dns", "value": "www.example.com"}, "subproblems": [{"detail": "deeper"}]},
            {"type": "urn:ietf:params:acme:error:dns", "identifier": {"type": "dns", "value": "b.example"}}]}
            """
        let problem = ACMEProblem(of: ACMEHTTPResponse(status: 400, body: Array(body.utf8)))
        #expect(problem.kind == "malformed")
        #expect(
            problem.description
                == "urn:ietf:params:acme:error:malformed: Some of it\u{FFFD}failed; "
                + "for www.example.com: urn:ietf:params:acme:error:unauthorized: Wrong\u{FFFD}[31m answer; "
                + "for b.example: urn:ietf:params:acme:error:dns")
    }

    @Test("An error without a problem document is told by what there is")
    func noProblem() {
        let told = { (body: String) in
            ACMEProblem(of: ACMEHTTPResponse(status: 502, body: Array(body.utf8))).description
        }
        #expect(told("") == "about:blank: HTTP status 502")
        #expect(told("<h1>Bad\ngateway</h1>") == "about:blank: <h1>Bad\u{FFFD}gateway</h1>")
        #expect(told("{}") == "about:blank: {}")
        #expect(told(#"{"title": "Out of order"}"#) == "about:blank: Out of order")
        #expect(told(String(repeating: "x", count: 9000)).utf8.count < 300)
    }

    @Test("What is too large is not read")
    func tooLarge() throws {
        let text = String(repeating: " ", count: 1 << 20) + ScriptedEdge.directory
        #expect(throws: ACMEError.malformed("directory", reason: "it is larger than 1 MiB")) {
            try ACMEDirectory(Array(text.utf8))
        }
        let urls = Array(repeating: #""https://ca.test/authz/1""#, count: 1001).joined(separator: ",")
        let order = Samples.order("pending").replacing(#""https://ca.test/authz/1""#, with: urls)
        #expect(throws: ACMEError.self) {
            try ACMEOrder(Array(order.utf8), url: ACMEURL("https://ca.test/order/1"), retryAfter: nil)
        }
    }

    @Test("No prefix of a message traps")
    func prefixes() throws {
        let url = try ACMEURL("https://ca.test/1")
        let challenges = [Samples.challenge("http-01", 1)]
        let texts = [
            ScriptedEdge.directory, Samples.order("pending"), Samples.authorization("a.test", challenges: challenges),
        ].map { Array($0.utf8) }
        for text in texts {
            for length in text.indices {
                let part = Array(text[..<length])
                #expect(throws: ACMEError.self) { try ACMEDirectory(part) }
                #expect(throws: ACMEError.self) { try ACMEOrder(part, url: url, retryAfter: nil) }
                #expect(throws: ACMEError.self) { try ACMEAuthorization(part, url: url, retryAfter: nil) }
                #expect(throws: ACMEError.self) { try ACMERenewalInfo(part, retryAfter: nil) }
                _ = ACMEProblem(of: ACMEHTTPResponse(status: 500, body: part)).description
            }
        }
    }

    struct Time: Sendable, CustomTestStringConvertible {
        let text: String
        let seconds: Int64?
        var testDescription: String { text }
    }

    static let times = [
        Time(text: "1970-01-01T00:00:00Z", seconds: 0), Time(text: "2000-02-29T23:59:59Z", seconds: 951_868_799),
        Time(text: "2027-01-15T08:00:00.999999999Z", seconds: 1_800_000_000),
        Time(text: "2027-01-15t09:30:00+01:30", seconds: 1_800_000_000),
        Time(text: "2027-01-14T20:00:00-12:00", seconds: 1_800_000_000),
        Time(text: "0001-01-01T00:00:00Z", seconds: -62_135_596_800),
        Time(text: "9999-12-31T23:59:60Z", seconds: 253_402_300_800),
        Time(text: "2027-02-29T00:00:00Z", seconds: nil), Time(text: "2027-13-01T00:00:00Z", seconds: nil),
        Time(text: "2027-01-15T24:00:00Z", seconds: nil), Time(text: "2027-01-15T08:00:00", seconds: nil),
        Time(text: "2027-01-15T08:00:00.Z", seconds: nil), Time(text: "2027-01-15T08:00:00Zx", seconds: nil),
        Time(text: "2027-01-15 08:00:00Z", seconds: nil), Time(text: "2027-01-15T8:00:000Z", seconds: nil),
        Time(text: "2027-01-15T08:00:00+0100", seconds: nil), Time(text: "", seconds: nil),
    ]

    @Test("Times of RFC 3339 are read", arguments: times)
    func time(_ time: Time) {
        #expect(RemoteTime.rfc3339(time.text) == time.seconds)
    }

    @Test(
        "Retry-After is seconds or a date",
        arguments: [
            ("0", 0), ("120", 120), ("Fri, 15 Jan 2027 08:02:00 GMT", 120), ("Fri, 15 Jan 2027 07:00:00 GMT", 0),
            ("soon", nil), ("-5", nil), ("1.5", nil), ("99999999999", nil), ("Fri, 15 Jan 2027 08:02:00 CET", nil),
        ])
    func retryAfter(_ text: String, _ seconds: Int64?) {
        #expect(RemoteTime.retryAfter(text, now: ScriptedEdge.now) == seconds.map { .seconds($0) })
    }
}
