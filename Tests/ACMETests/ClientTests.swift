import PKI
import Testing

@testable import ACME

@Suite struct ClientTests {
    static let names: [ACMEIdentifier] = [.dns("www.example.com"), .ip("192.0.2.1")]

    @Test("A new account's request carries its key; later requests name the account")
    func account() throws {
        let edge = ScriptedEdge([
            .json(#"{"status": "valid", "orders": "https://ca.test/o"}"#, status: 201, location: "https://ca.test/a/9"),
            .order,
        ])
        let client = try edge.client(hasAccount: false)
        #expect(throws: ACMEError.noAccount) { try client.order(at: ACMEURL("https://ca.test/order/1")) }
        let account = try client.account(contact: ["mailto:ops@example.com"])
        #expect(account.text == "https://ca.test/a/9")
        _ = try client.newOrder(identifiers: Self.names, profile: "short")

        let messages = try edge.messages
        #expect(messages[0].header.jwk == (try client.key.jsonWebKey.members))
        #expect(messages[0].header.kid == nil)
        #expect(messages[0].payload == #"{"contact":["mailto:ops@example.com"],"termsOfServiceAgreed":true}"#)
        #expect(messages[1].header.jwk == nil)
        #expect(messages[1].header.kid == "https://ca.test/a/9")
        #expect(
            messages[1].payload
                == #"{"identifiers":[{"type":"dns","value":"www.example.com"},{"type":"ip","value":"192.0.2.1"}],"#
                + #""profile":"short"}"#)
        #expect(messages.map(\.header.url) == ["https://ca.test/account", "https://ca.test/order"])
        // The nonce in the first answer is used for the second message.
        #expect(messages.map(\.header.nonce) == ["nonce-2", "nonce-3"])
        #expect(edge.requests.allSatisfy { $0.method == .post })
        #expect(edge.isDone)
    }

    @Test("An account that must exist is looked up, not created")
    func existingAccount() throws {
        let edge = ScriptedEdge([.problem("accountDoesNotExist")])
        let error = #expect(throws: ACMEError.self) {
            try edge.client(hasAccount: false).account(contact: ["mailto:x@example.com"], onlyExisting: true)
        }
        #expect(error?.problem?.kind == "accountDoesNotExist")
        #expect(try edge.messages[0].payload == #"{"onlyReturnExisting":true}"#)
    }

    @Test("A CA that requires an external account gets its binding, or the error says that it is missing")
    func externalAccount() throws {
        let directory = ScriptedEdge.directory.replacing(
            #""meta": {"#, with: #""meta": {"externalAccountRequired": true,"#)
        let edge = ScriptedEdge(
            directory: directory, [.json(#"{"status": "valid"}"#, location: "https://ca.test/a/9")])
        let client = try edge.client(hasAccount: false)
        #expect(throws: ACMEError.externalAccountRequired) { try client.account(contact: []) }
        #expect(edge.requests.isEmpty)
        let external = try ACMEExternalAccount(keyID: "k", encodedKey: SecretBytes(Array("a2V5".utf8)))
        try client.account(contact: [], externalAccount: external)
        #expect(try edge.messages[0].payload.hasPrefix(#"{"externalAccountBinding":{"payload":""#))
    }

    @Test("A request with a refused nonce is repeated with the fresh nonce, at most twenty times")
    func badNonce() throws {
        let refusals = Array(repeating: ScriptedEdge.Answer.problem("badNonce"), count: 20)
        let edge = ScriptedEdge(refusals + [.order])
        _ = try edge.client().newOrder(identifiers: Self.names)
        // nonce-1 came from newNonce. Each refusal brought the next nonce.
        #expect(try edge.messages.compactMap(\.header.nonce) == (1...21).map { "nonce-\($0)" })
        #expect(edge.waits.isEmpty)

        let worse = ScriptedEdge(refusals + [.problem("badNonce")])
        let error = #expect(throws: ACMEError.self) { try worse.client().newOrder(identifiers: Self.names) }
        #expect(error?.problem?.kind == "badNonce")
    }

    @Test("A malformed nonce is not used")
    func strangeNonce() throws {
        let strange = ACMEHTTPResponse(status: 200, replayNonce: "a\"b", body: Array(Samples.order("ready").utf8))
        let edge = ScriptedEdge([.response(strange), .response(strange)])
        let client = try edge.client()
        for _ in 0..<2 { _ = try client.order(at: ACMEURL("https://ca.test/order/1")) }
        #expect(try edge.messages.map(\.header.nonce) == ["nonce-1", "nonce-3"])
    }

    @Test("Only a few nonces are kept, and the newest is used first")
    func noncePool() {
        var pool = NoncePool()
        for number in 1...20 { pool.keep("\(number)") }
        #expect((0..<9).map { _ in pool.removeYoungest() } == (13...20).reversed().map { "\($0)" } + [nil])
    }

    @Test("An order names the certificate that it replaces if the CA offers renewal information")
    func replaces() throws {
        let edge = ScriptedEdge([.order])
        _ = try edge.client().newOrder(identifiers: [.dns("*.example.com")], replaces: "aki.serial")
        let rest = #"{"identifiers":[{"type":"dns","value":"*.example.com"}]"#
        #expect(try edge.messages.map(\.payload) == [rest + #","replaces":"aki.serial"}"#])

        let old = ScriptedEdge(
            directory: ScriptedEdge.directory.replacing("renewalInfo", with: "renewalThing"), [.order])
        _ = try old.client().newOrder(identifiers: [.dns("*.example.com")], replaces: "aki.serial")
        #expect(try old.messages.map(\.payload) == [rest + "}"])
    }

    @Test(
        "A refusal may be due to the replaced certificate, unless it names another cause",
        arguments: [
            ("alreadyReplaced", 409, true), ("malformed", 400, true), ("unauthorized", 403, true),
            ("rateLimited", 429, false), ("rateLimited", 400, false), ("accountDoesNotExist", 400, false),
            ("serverInternal", 500, false),
        ])
    func replacementRefused(kind: String, status: Int, isConcerned: Bool) {
        let problem = ACMEProblem(
            type: ACMEProblem.prefix + kind, detail: "", identifier: nil, subproblems: [])
        let error = ACMEError.refused(problem, status: status, retryAfter: nil)
        #expect(error.isLasting == isConcerned)
    }

    @Test("A profile that the CA does not offer is an error before any order")
    func unknownProfile() throws {
        let edge = ScriptedEdge([])
        let error = #expect(throws: ACMEError.self) {
            try edge.client().newOrder(identifiers: Self.names, profile: "shrot")
        }
        #expect(error?.description == "the CA has no profile 'shrot': it offers classic, short")
        let none = ScriptedEdge(directory: ScriptedEdge.directory.replacing("profiles", with: "x"), [])
        #expect(throws: ACMEError.unknownProfile("short", offered: [])) {
            try none.client().newOrder(identifiers: Self.names, profile: "short")
        }
    }

    @Test(
        "An order without a URL, or with one that is not https, is refused",
        arguments: [nil, "", "http://other.test/order/1", "http://ca.test:81/order/1", "http://ca.testing/order/1"])
    func orderPlace(_ location: String?) throws {
        let edge = ScriptedEdge([.json(Samples.order("pending"), status: 201, location: location)])
        #expect(throws: ACMEError.self) { try edge.client().newOrder(identifiers: Self.names) }
    }

    @Test("The account's contact is changed or removed")
    func contact() throws {
        let account = #"{"status":"valid"}"#
        let edge = ScriptedEdge([.json(account), .json(account)])
        let client = try edge.client()
        try client.updateContact(["mailto:ops@example.com"])
        try client.updateContact([])
        #expect(
            try edge.messages.map(\.payload) == [#"{"contact":["mailto:ops@example.com"]}"#, #"{"contact":[]}"#])
        #expect(try edge.messages.allSatisfy { $0.header.url == "https://ca.test/account/1" })
    }

    @Test("Resources are read by POST with an empty payload (POST-as-GET)")
    func postAsGet() throws {
        let edge = ScriptedEdge([
            .json(Samples.order("pending"), retryAfter: "4"),
            .json(Samples.authorization("a.test", challenges: [Samples.challenge("http-01", 1)]), retryAfter: "5"),
            .json(Samples.challenge("http-01", 1, status: "processing")),
            .json(Samples.authorization("a.test", status: "deactivated", challenges: [])),
        ])
        let client = try edge.client()
        #expect(try client.order(at: ACMEURL("https://ca.test/order/1")).retryAfter == .seconds(4))
        let authorization = try client.authorization(at: ACMEURL("https://ca.test/authz/1"))
        #expect(authorization.retryAfter == .seconds(5))
        let answer = OrderMachine.Answer(authorization: authorization, challenge: authorization.challenges[0])
        #expect(try client.answer(answer) == nil)
        #expect(try client.deactivate(authorization).status == .deactivated)
        #expect(try edge.messages.map(\.payload) == ["", "", "{}", #"{"status":"deactivated"}"#])
        #expect(
            try edge.messages.map(\.header.url) == [
                "https://ca.test/order/1", "https://ca.test/authz/1", "https://ca.test/challenge/1",
                "https://ca.test/authz/1",
            ])
    }

    @Test(
        "The order's URL is reported even if the rest of the answer is unusable",
        arguments: ["", "<html>", "{}", "[]", "null"])
    func orderWithoutAnswer(_ body: String) throws {
        let edge = ScriptedEdge([.json(body, status: 201, location: "https://ca.test/order/7")])
        let placed = try edge.client().newOrder(identifiers: Self.names)
        #expect(placed.url.text == "https://ca.test/order/7")
        #expect(throws: ACMEError.self) { try placed.answer.get() }
    }

    @Test("URLs may be relative to the requested URL")
    func relativeLocations() throws {
        let edge = ScriptedEdge([
            .json("", status: 201, location: "/a/9"), .json(Samples.order("ready"), status: 201, location: "order/7#x"),
            .json(Samples.order("ready"), status: 201, location: "http://other.test/order/7"),
            .json(Samples.order("ready"), status: 201, location: "http://ca.test/order/7"),
        ])
        let client = try edge.client(hasAccount: false)
        #expect(try client.account(contact: []).text == "https://ca.test/a/9")
        #expect(try client.newOrder(identifiers: Self.names).url.text == "https://ca.test/order/7")
        let reason = "the CA's order's URL can't be used: 'http://other.test/order/7' is no https URL"
        #expect(throws: ACMEError.orderWithoutPlace(reason: reason)) { try client.newOrder(identifiers: Self.names) }
        // A plain http URL at the same host becomes https.
        #expect(try client.newOrder(identifiers: Self.names).url.text == "https://ca.test/order/7")
        #expect(client.takeOddities() == ["the CA's account can't be used: it is no JSON"])
        #expect(client.takeOddities().isEmpty)
    }

    @Test("A key change is signed by the new key inside and by the old key outside")
    func changeKey() throws {
        let edge = ScriptedEdge([.json("{}"), .order])
        let old = try ScriptedEdge.ecKey.get()
        let new = try ScriptedEdge.rsaKey.get()
        let client = try edge.client()
        try client.changeKey(to: new)
        _ = try client.order(at: ACMEURL("https://ca.test/order/1"))
        let messages = try edge.messages
        #expect(messages.map(\.header.alg) == ["ES256", "RS256"])
        let inner = try Message(Array(messages[0].payload.utf8))
        #expect(inner.header.alg == "RS256")
        #expect(inner.header.jwk == (try new.jsonWebKey.members))
        #expect(inner.header.url == "https://ca.test/key")
        #expect(inner.header.nonce == nil)
        #expect(inner.payload == #"{"account":"https://ca.test/account/1","oldKey":\#(try old.jsonWebKey.json)}"#)
        #expect(inner.signature == (try new.signature(of: inner.input)))
    }

    @Test("The account's key or the certificate's key can revoke a certificate, also a second time")
    func revoke() throws {
        let edge = ScriptedEdge([.json(""), .problem("alreadyRevoked"), .problem("unauthorized", status: 403)])
        let client = try edge.client()
        let own = try ScriptedEdge.rsaKey.get()
        try client.revoke([0xFB, 0xFF], reason: .keyCompromise)
        try client.revoke([0xFB, 0xFF], reason: .superseded, key: own)
        #expect(throws: ACMEError.self) { try client.revoke([1], reason: .unspecified) }
        let messages = try edge.messages
        #expect(messages[0].payload == #"{"certificate":"-_8","reason":1}"#)
        #expect(messages[0].header.kid == "https://ca.test/account/1")
        #expect(messages[1].header.jwk == (try own.jsonWebKey.members))
    }

    @Test("Renewal information is read by an unsigned GET below its URL")
    func renewalInfo() throws {
        let edge = ScriptedEdge([
            .json(
                """
                {"suggestedWindow": {"start": "2027-01-15T08:00:00Z", "end": "2027-01-17T08:00:00Z"},
                "explanationURL": 5}
                """, retryAfter: "21600"),
            .json(#"{"suggestedWindow": {"start": "2027-01-15T08:00:00Z", "end": "2027-01-15T08:00:00Z"}}"#),
        ])
        let client = try edge.client(hasAccount: false)
        let info = try client.renewalInfo("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE")
        #expect(
            info
                == ACMERenewalInfo(
                    start: 1_800_000_000, end: 1_800_172_800, retryAfter: .seconds(21_600)))
        #expect(edge.requests[0].method == .get)
        #expect(edge.requests[0].url.text == "https://ca.test/renewal/aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE")
        #expect(throws: ACMEError.self) { try client.renewalInfo("a.b") }
    }
}
