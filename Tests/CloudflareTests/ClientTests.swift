import HTTPClient
import PKI
import Testing

@testable import Cloudflare

struct ClientTests {
    private static let certificate = #"{"id":"12","certificate":"PEM","csr":"CSR","expires_on":"2030-01-02T03:04:05Z"}"#
    private static let request: CertificateRequest = {
        do {
            return try CertificateRequest(key: .generate(.ecdsaP256), names: [SubjectName("a.test")])
        } catch {
            fatalError("\(error)")
        }
    }()
    private static let order = OriginRequest(request, hostnames: ["a.test"], type: "origin-ecc", validity: 7)

    @Test(
        "A call that was not carried out is repeated",
        arguments: [
            ScriptedTransport.Step.answer(400, ScriptedTransport.refusal(1100)),
            .answer(429, ScriptedTransport.refusal(971), [HTTPField("Retry-After", "3")]), .answer(503, "<html>"),
            .lost(mayHaveArrived: false),
        ])
    func repeated(step: ScriptedTransport.Step) throws {
        let server = ScriptedTransport([step, .answer(200, ScriptedTransport.success(Self.certificate))])
        let issued = try server.client.issue(Self.order, for: Self.request, inZone: nil).certificate
        #expect(issued.id == "12" && issued.expiresAt == 1_893_553_445)
        #expect(server.requests.count == 2)
        if case .answer(429, _, _) = step { #expect(server.delays == [3]) } else { #expect(server.delays == [1]) }
    }

    @Test("An order that may have arrived is not repeated, and is in doubt")
    func lostAnswer() throws {
        let server = ScriptedTransport([.lost(mayHaveArrived: true)])
        let error = #expect(throws: CloudflareError.self) {
            try server.client.issue(Self.order, for: Self.request, inZone: nil)
        }
        #expect(error?.mayBeDone == true)
        #expect(server.requests.count == 1)
    }

    @Test("An order whose successful answer can't be read is in doubt; a refused one is not")
    func doubt() throws {
        let garbage = ScriptedTransport([.answer(200, "what?")])
        #expect(
            #expect(throws: CloudflareError.self) {
                try garbage.client.issue(Self.order, for: Self.request, inZone: nil)
            }?.mayBeDone == true)
        let empty = ScriptedTransport([.answer(200, ScriptedTransport.success("null"))])
        #expect(
            #expect(throws: CloudflareError.self) {
                try empty.client.issue(Self.order, for: Self.request, inZone: nil)
            }?.mayBeDone == true)
        let refusal = ScriptedTransport([.answer(400, ScriptedTransport.refusal(1004))])
        #expect(
            #expect(throws: CloudflareError.self) {
                try refusal.client.issue(Self.order, for: Self.request, inZone: nil)
            }?.mayBeDone == false)
    }

    @Test(
        "A proxy's error leaves a doubt, also the last one of many, and is not repeated where nothing can be searched")
    func proxies() throws {
        let lost = ScriptedTransport([.answer(524, "<html>")])
        #expect(
            #expect(throws: CloudflareError.self) {
                try lost.client.issue(Self.order, for: Self.request, inZone: nil)
            }?.mayBeDone == true)
        #expect(lost.requests.count == 1)
        let listed = ScriptedTransport(
            (0..<20).flatMap { _ in [.answer(502, ""), .answer(200, ScriptedTransport.success("[]"))] })
        #expect(
            #expect(throws: CloudflareError.self) {
                try listed.client.issue(Self.order, for: Self.request, inZone: "abc")
            }?.mayBeDone == true)
        #expect(listed.requests.count > 5 && listed.requests.last?.method == .post)
        for (status, body) in [(503, ""), (500, ScriptedTransport.refusal(1000)), (429, "")] {
            let busy = ScriptedTransport(Array(repeating: .answer(status, body), count: 20))
            #expect(
                #expect(throws: CloudflareError.self) {
                    try busy.client.issue(Self.order, for: Self.request, inZone: nil)
                }?.mayBeDone == false)
            #expect(busy.requests.count > 5)
        }
    }

    @Test("A refusal is reported in the server's words, in one line, without the token")
    func refusal() throws {
        let body = #"""
            {"success":false,"errors":[{"code":10000,"message":"Authentication error","documentation_url":"https://docs.test",
            "source":{"pointer":"/csr"}}]}
            """#
        let server = ScriptedTransport([.answer(403, body)])
        let error = try #require(
            #expect(throws: CloudflareError.self) {
                try server.client.issue(Self.order, for: Self.request, inZone: nil)
            })
        #expect(
            "\(error)" == "Cloudflare refuses (HTTP 403, CF-Ray 8f00-TXL): Authentication error, at /csr, "
                + "see https://docs.test (code 10000)")
        #expect(error.hint?.contains("permission") == true)
        #expect(server.requests.count == 1)
    }

    @Test("Calls are repeated for a minute at most, and not at all if the server asks for a longer delay")
    func patience() throws {
        let busy = ScriptedTransport(Array(repeating: .answer(503, ""), count: 20))
        #expect(throws: CloudflareError.self) { try busy.client.issue(Self.order, for: Self.request, inZone: nil) }
        #expect(busy.delays.reduce(0, +) <= 60 && busy.requests.count > 5)
        // A failed call's own time counts too.
        let silent = ScriptedTransport(Array(repeating: .lost(mayHaveArrived: false), count: 20), callSeconds: 29)
        #expect(throws: CloudflareError.self) { try silent.client.issue(Self.order, for: Self.request, inZone: nil) }
        #expect(silent.requests.count == 2)
        let full = ScriptedTransport([
            .answer(429, ScriptedTransport.refusal(971), [HTTPField("Retry-After", "300")])
        ])
        let error = try #require(
            #expect(throws: CloudflareError.self) { try full.client.issue(Self.order, for: Self.request, inZone: nil) })
        #expect("\(error)".hasSuffix("; try again in 300 s"))
        #expect(full.requests.count == 1)
    }

    @Test("All pages of the list are searched for the certificate of a request")
    func pages() throws {
        let other = ScriptedTransport.success("[\(Self.certificate)]", info: #"{"total_pages":2}"#)
        let csr = Self.request.pem.replacing("\n", with: #"\n"#)
        let ours = #"{"id":"13","certificate":"PEM","csr":"\#(csr)","expires_on":"2020-12-25 06:27:00 +0000 UTC"}"#
        let server = ScriptedTransport([.answer(200, other), .answer(200, ScriptedTransport.success("[\(ours)]"))])
        let found = try #require(
            try server.client.certificate(for: Self.request, named: ["a.test"], inZone: "abc").found)
        #expect(found.id == "13" && found.expiresAt == 1_608_877_620)
        #expect(
            server.calls == [
                "GET https://api.test/v4/certificates?zone_id=abc&page=1&per_page=20",
                "GET https://api.test/v4/certificates?zone_id=abc&page=2&per_page=20",
            ])
    }

    @Test("An element that can't be read does not hide the others, and is reported")
    func oddElements() throws {
        let csr = Self.request.pem.replacing("\n", with: #"\n"#)
        let ours = #"{"id":"13","certificate":"PEM","csr":"\#(csr)","expires_on":7}"#
        let odd = [
            #"{"id":null}"#, "null", "7", #"{"id":"../13"}"#, #"{"id":"12","revoked_at":[]}"#, #"{"id":"12","csr":{}}"#,
            #"{"id":-7,"hostnames":["other.test"]}"#,
        ]
        let list = { (elements: [String]) in
            ScriptedTransport.success("[\(elements.joined(separator: ","))]", info: #"{"total_pages":"one"}"#)
        }
        func search(_ elements: [String]) throws -> CloudflareSearch<OriginCertificate> {
            try ScriptedTransport([.answer(200, list(elements))]).client.certificate(
                for: Self.request, named: ["a.test", "*.a.test"], inZone: "abc")
        }
        #expect(try search(odd + [ours]).found?.id == "13")
        for element in odd {
            let search = try search([Self.certificate, element])
            #expect(search.found == nil && search.oddities.count == 1)
            #expect(search.oddities.first?.contains("an element that can't be read, number 2 of page 1: ") == true)
        }
        // An unreadable element that may be the wanted certificate makes the search fail. Otherwise a second
        // certificate would be ordered.
        let doubtful = [
            #"{"id":null,"csr":"\#(csr)"}"#, #"{"id":"12","revoked_at":[],"csr":"\#(csr)"}"#,
            #"{"id":"../13","hostnames":["*.A.test","a.test"]}"#, #"{"csr":"?","hostnames":["*.a.test","a.test"]}"#,
        ]
        for element in doubtful {
            let error = #expect(throws: CloudflareError.self) { try search([Self.certificate, element]) }
            #expect(error?.description.contains("an element that can't be read, number 2 of page 1: ") == true)
            #expect(error?.mayBeDone == true)
            #expect(try search([element, ours]).found?.id == "13")
        }
        #expect(try search([Self.certificate]).oddities.isEmpty)
    }

    @Test("Before a call is repeated after a proxy's error, the list is searched for its result")
    func hiddenSuccess() throws {
        let csr = Self.request.pem.replacing("\n", with: #"\n"#)
        let ours = #"{"id":"13","certificate":"PEM","csr":"\#(csr)"}"#
        let server = ScriptedTransport([
            .answer(524, "<html>"), .answer(200, ScriptedTransport.success("[]")), .answer(502, "<html>"),
            .answer(200, ScriptedTransport.success("[\(ours)]")),
        ])
        #expect(try server.client.issue(Self.order, for: Self.request, inZone: "abc").certificate.id == "13")
        #expect(server.requests.map(\.method) == [.post, .get, .post, .get])
    }

    @Test(
        "An answer that does not know the path does not show that an object is gone",
        arguments: [(404, "<html>"), (404, ScriptedTransport.refusal(7003)), (410, "")])
    func unknownPath(status: Int, body: String) {
        let server = ScriptedTransport([.answer(status, body)])
        let error = #expect(throws: CloudflareError.self) { try server.client.certificate("12") }
        #expect(error?.isGone == false)
        #expect(throws: CloudflareError.self) {
            try ScriptedTransport([.answer(status, body)]).client.deletePack("p", inZone: "abc")
        }
    }

    @Test("Revoking a certificate that is revoked or does not exist is no error")
    func revokedAlready() throws {
        let gone = ScriptedTransport([.answer(404, ScriptedTransport.refusal(1101))])
        try gone.client.revoke("12")
        let revoked = #"{"id":"12","revoked_at":"2026-01-02T03:04:05Z"}"#
        let before = ScriptedTransport([
            .answer(400, ScriptedTransport.refusal(1014)), .answer(200, ScriptedTransport.success(revoked)),
        ])
        try before.client.revoke("12")
        let refused = ScriptedTransport([
            .answer(400, ScriptedTransport.refusal(1014)), .answer(200, ScriptedTransport.success(Self.certificate)),
        ])
        #expect(throws: CloudflareError.self) { try refused.client.revoke("12") }
    }

    @Test(
        "A number counts as its digits, and a line break of PEM may be escaped twice",
        arguments: [
            (#"{"id":40000000,"certificate":"PEM"}"#, "40000000", "PEM"),
            (#"{"id":18446744073709551615,"certificate":"PEM"}"#, "18446744073709551615", "PEM"),
            (#"{"id":"12","certificate":"-----BEGIN\\nAB\\r\\nCD\\n"}"#, "12", "-----BEGIN\nAB\nCD\n"),
        ])
    func oddValues(_ text: String, _ id: String, _ pem: String) throws {
        let server = ScriptedTransport([.answer(200, ScriptedTransport.success(text))])
        let issued = try server.client.issue(Self.order, for: Self.request, inZone: nil).certificate
        #expect(issued.id == id && issued.pem == Array(pem.utf8))
        let csr = Self.request.pem.replacing("\n", with: #"\\n"#)
        let listed = ScriptedTransport([
            .answer(200, ScriptedTransport.success(#"[{"id":13,"certificate":"PEM","csr":"\#(csr)"}]"#))
        ])
        #expect(try listed.client.certificate(for: Self.request, named: ["a.test"], inZone: "abc").found?.id == "13")
    }

    @Test(
        "Odd members of a refusal do not hide the others",
        arguments: [
            #"[{"code":"10000","message":"No"}]"#, #"[null,{"code":10000,"message":"No","documentation_url":7}]"#,
            #"[{"code":10000,"message":"No","source":"x","error_chain":{}}]"#,
        ])
    func oddRefusal(errors: String) {
        for status in [200, 403] {
            let server = ScriptedTransport([.answer(status, #"{"success":false,"errors":\#(errors),"result":null}"#)])
            let error = #expect(throws: CloudflareError.self) { try server.client.certificate("12") }
            #expect(error?.description.hasSuffix(": No (code 10000)") == true, "\(String(describing: error))")
            #expect(error?.hint?.contains("permission") == true)
        }
    }

    @Test("A deletion whose answer is lost is repeated")
    func lostDeletion() throws {
        let server = ScriptedTransport([
            .lost(mayHaveArrived: true), .answer(404, ScriptedTransport.refusal(1101)),
        ])
        try server.client.deletePack("p", inZone: "abc")
        #expect(server.requests.count == 2)
    }

    @Test(
        "A text that is no identifier is not put into a path",
        arguments: ["../x", "", "a/b", "é", String(repeating: "1", count: 101)])
    func identifiers(id: String) {
        let server = ScriptedTransport([
            .answer(200, ScriptedTransport.success(#"{"id":"\#(id)","certificate":"PEM"}"#))
        ])
        #expect(throws: CloudflareError.self) { try server.client.issue(Self.order, for: Self.request, inZone: nil) }
    }

    @Test(
        "Both forms of times are read",
        arguments: [
            ("2020-12-25T06:27:00Z", 1_608_877_620), ("2020-12-25 06:27:00 +0000 UTC", 1_608_877_620),
            ("2020-12-25 07:27:00 +0100", 1_608_877_620), ("2020-12-25 06:27:00", nil), ("", nil), ("soon", nil),
            ("2020-12-25 06:27:00 +0000 CET", nil), ("0001-01-01T00:00:00Z", -62_135_596_800),
        ])
    func times(text: String, seconds: Int64?) {
        #expect(CloudflareTime.seconds(text) == seconds)
    }
}

struct PackTests {
    private static let pack = #"""
        {"id":"p-1","type":"advanced","status":"pending_validation","hosts":["*.a.test","a.test"],
        "certificate_authority":"google","validation_method":"txt","validity_days":90,"cloudflare_branding":false,
        "validation_records":[{"txt_name":"_acme-challenge.a.test","txt_value":"x","status":"pending"},
        {"http_url":"http://a.test/y","http_body":"z"},{"emails":["me@a.test","you@a.test"]}],
        "validation_errors":[{"message":"SERVFAIL"}],
        "certificates":[{"id":"c","expires_on":"2030-01-02T03:04:05Z"}]}
        """#

    @Test("A pack's status and its validation records are read")
    func pack() throws {
        let server = ScriptedTransport([.answer(200, ScriptedTransport.success(Self.pack))])
        let pack = try server.client.pack("p-1", inZone: "abc")
        #expect(pack.status == "pending_validation" && pack.expiresAt == 1_893_553_445)
        #expect(
            pack.validation == [
                "TXT _acme-challenge.a.test = x", "HTTP http://a.test/y answers z", "e-mail to me@a.test, you@a.test",
            ])
        #expect(pack.problems == ["SERVFAIL"])
    }

    @Test(
        "A pack with odd members is still read",
        arguments: [
            (#""status":"pending_validation""#, #""status":7"#), (#""SERVFAIL""#, "[]"),
            (#""2030-01-02T03:04:05Z""#, "0"),
            (#"["me@a.test","you@a.test"]"#, #""me@a.test""#),
        ])
    func oddPack(from: String, to: String) throws {
        let text = Self.pack.replacing(from, with: to)
        #expect(text != Self.pack)
        let server = ScriptedTransport([.answer(200, ScriptedTransport.success("[null,\(text),{}]"))])
        let (packs, oddities) = try server.client.packs(inZone: "abc")
        #expect(packs.map(\.id) == ["p-1"] && packs[0].hosts == ["*.a.test", "a.test"])
        #expect(
            oddities == [
                "Cloudflare's list of certificate packs has an element that can't be read, number 1 of page 1: it is null",
                "Cloudflare's list of certificate packs has an element that can't be read, number 3 of page 1: "
                    + "'id' is missing",
            ])
        let order = CertificatePackOrder(
            hosts: ["a.test", "*.a.test"], authority: "google", validation: "txt", validityDays: 90, hasBranding: false)
        let unlike = ScriptedTransport([.answer(200, ScriptedTransport.success(#"[null,{"hosts":["a.test"]}]"#))])
        let search = try unlike.client.pack(of: order, inZone: "abc") { _ in true }
        #expect(search.found == nil && search.oddities.count == 2)
        let like = ScriptedTransport([.answer(200, ScriptedTransport.success(#"[{"hosts":["*.a.test","A.test"]}]"#))])
        #expect(throws: CloudflareError.self) { try like.client.pack(of: order, inZone: "abc") { _ in true } }
    }

    @Test("An order is recognised whatever the order of its names")
    func sameOrder() throws {
        let server = ScriptedTransport([.answer(200, ScriptedTransport.success("[\(Self.pack)]"))])
        let order = CertificatePackOrder(
            hosts: ["a.test", "*.a.test"], authority: "google", validation: "txt", validityDays: 90, hasBranding: false)
        let (packs, oddities) = try server.client.packs(inZone: "abc")
        #expect(oddities.isEmpty && packs.map(\.hosts) == [order.hosts])
        #expect(
            order.text == #"{"certificate_authority":"google","cloudflare_branding":false,"#
                + #""hosts":["*.a.test","a.test"],"type":"advanced","validation_method":"txt","validity_days":90}"#)
    }
}
