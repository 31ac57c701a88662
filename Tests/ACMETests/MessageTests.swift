import Remote
import Testing

@testable import ACME

@Suite struct MessageTests {
    private static func base() throws -> ACMEURL { try ACMEURL("https://ca.test/a/b?c=d") }

    @Test("A directory is read, and unknown members are ignored")
    func directory() throws {
        let directory = try ACMEDirectory(Array(ScriptedEdge.directory.utf8), from: Self.base())
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
            from: "https://ca.test/order", to: "http://other.test/order",
            says: "the CA's directory's newOrder can't be used: 'http://other.test/order' is no https URL"),
        BadDirectory(
            from: #""newNonce": "https://ca.test/nonce","#, to: "",
            says: "the CA's directory can't be used: 'newNonce' is missing"),
        BadDirectory(
            from: #""https://ca.test/nonce""#, to: "[1]",
            says: "the CA's directory can't be used: 'newNonce' is of the wrong type"),
        BadDirectory(from: "{", to: "", says: "the CA's directory can't be used: it is no JSON"),
    ]

    @Test("A directory with untrustworthy URLs is refused", arguments: badDirectories)
    func badDirectory(_ bad: BadDirectory) throws {
        let text = ScriptedEdge.directory.replacing(bad.from, with: bad.to, maxReplacements: 1)
        let error = #expect(throws: ACMEError.self) { try ACMEDirectory(Array(text.utf8), from: Self.base()) }
        #expect(error?.description == bad.says)
    }

    @Test("An order is read")
    func order() throws {
        let text = Samples.order("valid", more: #", "certificate": "https://ca.test/cert/1""#)
        let order = try ACMEOrder(Array(text.utf8), url: Self.base(), from: Self.base(), retryAfter: .seconds(3))
        #expect(order.status == .valid)
        #expect(order.oddities == [])
        #expect(order.authorizations.map(\.text) == ["https://ca.test/authz/1", "https://ca.test/authz/2"])
        #expect(order.certificate?.text == "https://ca.test/cert/1")
        #expect(order.expires == 1_800_000_000)
        #expect(order.retryAfter == .seconds(3))
    }

    @Test(
        "An order with a plain http URL at another place or an unknown status is refused",
        arguments: [
            ("https://ca.test/order/1/f", "http://b.test/f"), ("pending", "waiting"),
        ])
    func badOrder(_ from: String, _ to: String) throws {
        let text = Samples.order("pending").replacing(from, with: to)
        let url = try ACMEURL("https://ca.test/order/1")
        #expect(throws: ACMEError.self) { try ACMEOrder(Array(text.utf8), url: url, from: url, retryAfter: nil) }
    }

    @Test(
        "Members that an order omits or garbles come from its previous state",
        arguments: [
            (#""identifiers""#, #""x""#, ["identifiers"]), (#""authorizations""#, #""x""#, ["authorizations"]),
            (#"["https://ca.test/authz/1", "https://ca.test/authz/2"]"#, "null", ["authorizations"]),
            (#"["https://ca.test/authz/1", "https://ca.test/authz/2"]"#, "[]", ["authorizations"]),
            (#"["https://ca.test/authz/1", "https://ca.test/authz/2"]"#, "[1]", ["authorizations"]),
            (#""https://ca.test/order/1/finalize""#, #""""#, ["finalize"]),
            (#""https://ca.test/order/1/finalize""#, "7", ["finalize"]),
            (#""2027-01-15T08:00:00Z""#, "1800000000", ["expires"]),
        ] as [(String, String, [String])])
    func oddOrder(_ from: String, _ to: String, _ unusable: [String]) throws {
        let base = try Self.base()
        let read = { (text: String) throws(ACMEError) in
            try ACMEOrder(Array(text.utf8), url: base, from: base, retryAfter: nil)
        }
        let full = try read(Samples.order("ready"))
        let odd = try read(Samples.order("ready").replacing(from, with: to))
        let words = unusable.map { "'\($0)'" }.joined(separator: ", ")
        #expect(odd.oddities == ["the CA's order has no \(words) that can be used"])
        let completed = odd.completed(by: full)
        #expect(completed.authorizations == full.authorizations && completed.finalize == full.finalize)
        #expect(odd.completed(by: nil) == odd)
    }

    @Test(
        "Authorizations that can't be read do not hide the others",
        arguments: [
            ("null", "it is null"), ("5", "it is of the wrong type"),
            (#""""#, "the CA's URL can't be used: it is empty"), (#"null, [], "ftp:x""#, "it is null; and 2 more"),
            (
                #""http://ca.test:81/authz/2""#,
                "the CA's URL can't be used: 'http://ca.test:81/authz/2' is no https URL"
            ),
        ])
    func oddAuthorizations(_ odd: String, _ reason: String) throws {
        let good = #""https://ca.test/authz/1""#
        func read(_ list: String) throws -> ACMEOrder {
            let text = Samples.order("pending").replacing(#"\#(good), "https://ca.test/authz/2""#, with: list)
            return try ACMEOrder(Array(text.utf8), url: Self.base(), from: Self.base(), retryAfter: nil)
        }
        for list in ["\(good), \(odd)", "\(odd), \(good)"] {
            let order = try read(list)
            #expect(order.authorizations.map(\.text) == ["https://ca.test/authz/1"])
            #expect(order.oddities == ["the CA's order has an authorization that can't be read: \(reason)"])
            #expect(order.authorizationFault == nil)
        }
        let order = try read(odd)
        #expect(order.authorizations.isEmpty)
        #expect(order.oddities == ["the CA's order has no 'authorizations' that can be used"])
        #expect(order.authorizationFault.map(reason.hasPrefix) == true)
    }

    @Test(
        "Garbled optional members of a directory count as missing, with a warning",
        arguments: [
            (#""https://ca.test/key""#, #""""#, ["the CA's directory's keyChange can't be used: it is empty"]),
            (#""https://ca.test/key""#, "null", []),
            (#""https://ca.test/key""#, "5", ["the CA's directory has a 'keyChange' that can't be read"]),
            (
                "https://ca.test/renewal", "HTTP://ca.tes/renewal",
                [
                    "the CA's directory has an http URL",
                    "the CA's directory's renewalInfo can't be used: 'HTTP://ca.tes/renewal' is no https URL",
                ]
            ), ("https://ca.test/renewal", "HTTP://ca.test/renewal", ["the CA's directory has an http URL"]),
            (#"["ca.test"]"#, #""ca.test""#, ["the CA's directory has a 'caaIdentities' that can't be read"]),
            (#"["ca.test"]"#, #"["ca.test", 5]"#, ["the CA's directory has a 'caaIdentities' that can't be read"]),
            (#""6 days""#, "6", ["the CA's directory has a 'profiles' that can't be read"]),
        ] as [(String, String, [String])])
    func oddDirectory(_ from: String, _ to: String, _ oddities: [String]) throws {
        let text = ScriptedEdge.directory.replacing(from, with: to)
        let directory = try ACMEDirectory(Array(text.utf8), from: Self.base())
        #expect(directory.oddities == oddities)
        // A profile can be ordered even if nobody can read its description.
        #expect(directory.profiles.keys.sorted() == ["classic", "short"])
        #expect(directory.newOrder.text == "https://ca.test/order")
    }

    @Test(
        "Link fields are read by RFC 8288",
        arguments: [
            (#"<a>; rel="alternate""#, [("a", ["alternate"])]), ("<a>;rel=Alternate", [("a", ["alternate"])]),
            (#"<a>; REL = "up  Alternate""#, [("a", ["up", "alternate"])]),
            (#"<a>;title="x, <y>; rel=z";rel=up, <b>;rel="index""#, [("a", ["up"]), ("b", ["index"])]),
            (#"<a>; title="\""; rel=up"#, [("a", ["up"])]), ("<a>; rel=up; rel=alternate", [("a", ["up"])]),
            ("<a>; anchor; rel=up", [("a", ["up"])]), ("<a,b>;rel=up", [("a,b", ["up"])]),
            ("<>;rel=alternate", [("", ["alternate"])]), ("<a>", []), ("<a>;rel=", []), (#"<a>;rel="""#, []), ("", []),
            ("a;rel=up", []), ("<a;rel=up", []), (#"<a>;rel="up"#, [("a", ["up"])]),
            (",,<a>;rel=up,,", [("a", ["up"])]),
        ] as [(String, [(String, [String])])])
    func links(_ field: String, _ links: [(String, [String])]) {
        #expect(WebLink.links(of: field) == links.map { WebLink(target: $0, relations: $1) })
        // No prefix of the field causes a trap.
        for end in field.indices { _ = WebLink.links(of: String(field[..<end])) }
    }

    @Test("The readable elements of a list are read, and the others are reported by position")
    func readableList() throws {
        struct Element: Decodable, Equatable { let a: Int }
        let text = #"[{"a": 1}, null, {"b": 2}, 7, {"a": "x"}, {"a": 3}]"#
        let list = try RemoteJSON.decode(ReadableList<Element>.self, from: Array(text.utf8))
        #expect(list.elements == [Element(a: 1), Element(a: 3)])
        #expect(list.faults.map(\.place) == [2, 3, 4, 5])
        #expect(
            list.faults.map(\.reason) == [
                "it is null", "'a' is missing", "it is of the wrong type", "'a' is of the wrong type",
            ])
    }

    private func authorization(_ text: String) throws -> ACMEAuthorization {
        try ACMEAuthorization(Array(text.utf8), url: ACMEURL("https://ca.test/authz/1"), retryAfter: nil)
    }

    @Test("A valid authorization may omit its challenges")
    func withoutChallenges() throws {
        for more in ["", #", "challenges": null"#] {
            let text = #"{"identifier": {"type": "dns", "value": "a.test"}, "status": "valid", "wildcard": 1\#(more)}"#
            #expect(try authorization(text).challenges.isEmpty)
        }
    }

    @Test("An authorization is read; of an unknown challenge, only its type")
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
        let rooted = Samples.authorization("example.com.", challenges: [Samples.challenge("http-01", 1)])
        #expect(try authorization(rooted).name == "example.com")
        #expect(throws: ACMEError.self) { try authorization(rooted.replacing("com.", with: "com..")) }
    }

    @Test(
        "A URL without a scheme is relative",
        arguments: [
            ("/order/1", true), ("../1", true), ("1", true), ("?id=1", true), ("//ca.test/1", true), ("a/b:c", true),
            ("https://ca.test/1", false), ("http://ca.test", false), ("urn:x", false),
        ])
    func relativeURLs(_ text: String, _ isRelative: Bool) {
        #expect((ACMEURL.oddity(of: text) == "a relative URL") == isRelative)
    }

    @Test("An order's status may be in capitals, and an order with a certificate URL counts as issued")
    func oddOrders() throws {
        func order(_ text: String) throws -> ACMEOrder {
            try ACMEOrder(Array(text.utf8), url: Self.base(), from: Self.base(), retryAfter: nil)
        }
        #expect(try order(Samples.order("READY")).oddities == ["the CA's order has a 'status' written as 'READY'"])
        let issued = try order(#"{"certificate": "/c", "finalize": "/f", "authorizations": ["/a"], "identifiers": []}"#)
        let oddities = ["the CA's order has a relative URL", "the CA's order has a 'status' that is missing"]
        #expect(issued.status == .valid && issued.oddities == oddities)
        #expect(throws: ACMEError.malformed("order", reason: "'status' is missing")) { try order("{}") }
    }

    @Test(
        "A token with characters outside base64url is refused",
        arguments: [
            "", "abcd==", "../etc/passwd", "a/b", "a.b", "a\\u0000", "a b", "\u{E9}",
            String(repeating: "a", count: 257),
        ])
    func badToken(_ token: String) throws {
        let text = Samples.authorization("a.test", challenges: [Samples.challenge("http-01", 1)])
            .replacing("token-1", with: token)
        let read = try authorization(text)
        let fault =
            token.hasSuffix("=")
            ? "ends with '=', which ACME does not allow" : "is not 1 to 256 digits of base64url"
        let reason = "the CA's challenge can't be used: its token \(fault)"
        #expect(read.challenges.isEmpty && read.offeredTypes == ["http-01"] && read.faults == [.http01: reason])
        #expect(read.oddities == ["the CA's authorization has a challenge that is left out: \(reason)"])
    }

    @Test("A problem document is shown in full on one line")
    func problem() throws {
        let body = """
            {"type": "urn:ietf:params:acme:error:malformed", "title": "not used", "detail": "Some of it\\nfailed",
            "status": 400, "subproblems": [
            {"type": "urn:ietf:params:acme:error:unauthorized", "detail": "Wrong\\u001b[31m answer",
            "identifier": {"type": "dns", "value": "www.example.com"}, "subproblems": [{"detail": "deeper"}]}, null, 5,
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

    @Test("An error without a problem document is described by its status and body")
    func noProblem() {
        let told = { (body: String) in
            ACMEProblem(of: ACMEHTTPResponse(status: 502, body: Array(body.utf8))).description
        }
        #expect(told("") == "about:blank: HTTP status 502")
        #expect(told("<h1>Bad\ngateway</h1>") == "about:blank: <h1>Bad\u{FFFD}gateway</h1>")
        #expect(told("{}") == "about:blank: {}")
        #expect(told(#"{"title": "Out of order"}"#) == "about:blank: Out of order")
        #expect(told(String(repeating: "x", count: 9000)).utf8.count < 150)
    }

    @Test("A redirect is described by its target, and its body is not quoted")
    func redirect() {
        let told = { (location: String?) in
            let answer = ACMEHTTPResponse(status: 302, location: location, body: Array("-----BEGIN CERT".utf8))
            return ACMEProblem(of: answer).description
        }
        #expect(told("/new") == "about:blank: it redirects to '/new', and redirects are not followed")
        #expect(told(nil) == "about:blank: HTTP status 302")
        #expect(told(String(repeating: "x", count: 9000)).utf8.count < 300)
    }

    @Test("An answer that is too large is not read")
    func tooLarge() throws {
        let text = String(repeating: " ", count: 1 << 20) + ScriptedEdge.directory
        #expect(throws: ACMEError.malformed("directory", reason: "it is larger than 1 MiB")) {
            try ACMEDirectory(Array(text.utf8), from: Self.base())
        }
        let urls = Array(repeating: #""https://ca.test/authz/1""#, count: 1001).joined(separator: ",")
        let order = Samples.order("pending").replacing(#""https://ca.test/authz/1""#, with: urls)
        #expect(throws: ACMEError.self) {
            try ACMEOrder(Array(order.utf8), url: Self.base(), from: Self.base(), retryAfter: nil)
        }
    }

    @Test("No prefix of a message causes a trap")
    func prefixes() throws {
        let url = try ACMEURL("https://ca.test/1")
        let challenges = [Samples.challenge("http-01", 1)]
        let texts = [
            ScriptedEdge.directory, Samples.order("pending"), Samples.authorization("a.test", challenges: challenges),
        ].map { Array($0.utf8) }
        for text in texts {
            for length in text.indices {
                let part = Array(text[..<length])
                #expect(throws: ACMEError.self) { try ACMEDirectory(part, from: url) }
                #expect(throws: ACMEError.self) { try ACMEOrder(part, url: url, from: url, retryAfter: nil) }
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

    @Test("Times in the format of RFC 3339 are read", arguments: times)
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
