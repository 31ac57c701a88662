import DNS
import Foundation
import HTTPClient
import Synchronization
import SystemPackage
import TestSupport
import Testing

@testable import ConfigModel
@testable import Issuers

/// A clock that advances only when code waits.
private final class Clock: Sendable {
    private let seconds = Mutex(0.0)
    private let work: @Sendable (Int) -> Void
    private let waits = Mutex(0)

    /// `work` is called during each wait, with the number of the wait.
    init(_ work: @escaping @Sendable (Int) -> Void = { _ in }) { self.work = work }

    var now: Int64 { seconds.withLock { Int64($0) } }
    var number: Int { waits.withLock { $0 } }

    func wait(_ duration: Duration) {
        seconds.withLock { $0 += duration / .seconds(1) }
        work(
            waits.withLock { count in
                count += 1
                return count
            })
    }
}

@Suite struct DNSChallengeTests {
    private static let nameServer = Result { try Companion("dns_server.py") }
    private let port: UInt16
    private var server: String { "127.0.0.1:\(port)" }
    private var lookup: DNSLookup { DNSLookup(servers: [DNSServer(host: "127.0.0.1", port: port)]) }

    init() throws {
        let words = try Self.nameServer.get().words
        port = try #require(UInt16(words[0]))
    }

    private func records(
        _ method: DNSProvider.Method, clock: Clock = Clock(), port: UInt16? = nil
    ) throws -> DNSChallengeRecords {
        try DNSChallengeRecords(
            DNSProvider(method: method), secrets: SecretReader(directory: "."), now: { clock.now },
            wait: { clock.wait($0) }, system: lookup, port: port ?? self.port)
    }

    private func rfc2136(zone: String = "signed.test", resolvers: [String] = []) -> DNSProvider.Method {
        var settings = DNSProvider.RFC2136(server: server, zone: zone)
        settings.waiting.resolvers = resolvers
        var key = TSIGKey(name: "hmac-sha384", algorithm: .sha384)
        key.secret = Secret(.inline("c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldC0zMg=="))
        if zone == "signed.test" { settings.tsig = key }
        return .rfc2136(settings)
    }

    @Test("TXT values are added by updates, several at one name, and removed one by one")
    func updates() throws {
        let records = try records(rfc2136())
        let name = "_acme-challenge.both.signed.test"
        for value in ["one", "two"] {
            try records.present(name: name, value: value)
            // The zone has two name servers, and both names lead to this server.
            try records.awaitPropagation(name: name, value: value)
        }
        try records.cleanup(name: name, value: "one")
        #expect(try lookup.txt(name) == ["two"])
    }

    @Test("A refused update is reported with the server's reason")
    func refusedUpdate() throws {
        let failure = #expect(throws: IssuanceFailure.self) {
            try records(rfc2136(zone: "else.test")).present(name: "_acme-challenge.else.test", value: "x")
        }
        #expect(failure?.reason == "\(server): updating 'else.test': NOTAUTH: the server has no authority, or we don't")
        #expect(failure?.hint == "does it take updates of 'else.test' without a TSIG key?")
    }

    @Test("A challenge waits until the last server returns the value")
    func waits() throws {
        let name = "_acme-challenge.late.signed.test"
        let writer = try records(rfc2136())
        let clock = Clock { number in
            if number == 3 { try? writer.present(name: name, value: "late") }
        }
        try records(rfc2136(), clock: clock).awaitPropagation(name: name, value: "late")
        #expect(clock.number == 3 && clock.now == 3)
        let again = Clock()
        try records(rfc2136(resolvers: [server, "127.0.0.2:\(port)"]), clock: again)
            .awaitPropagation(name: name, value: "late")
        #expect(again.number == 0)
    }

    @Test("A value that never appears ends the wait with an error that says what was found")
    func givesUp() throws {
        let name = "_acme-challenge.never.signed.test"
        func failure(_ method: DNSProvider.Method) throws -> IssuanceFailure? {
            let clock = Clock()
            let records = try records(method, clock: clock)
            let failure = #expect(throws: IssuanceFailure.self) {
                try records.awaitPropagation(name: name, value: "never")
            }
            #expect((120...125).contains(clock.now))
            return failure
        }
        let unseen = "the TXT record at '\(name)' is not seen after 120 s: "
        let none = try failure(rfc2136())
        #expect(none?.reason == unseen + "ns1.signed.test has no TXT record there")
        #expect(none?.hint == "'propagation_timeout' says how long it may take")
        try records(rfc2136()).present(name: name, value: "other")
        #expect(try failure(rfc2136())?.reason == unseen + "ns1.signed.test has other TXT records there")
        let nobody = try failure(rfc2136(resolvers: [server, "127.0.0.1:1"]))
        #expect(nobody?.reason == unseen + "\(server) has other TXT records there")
    }

    @Test("A zone unknown to the system's resolver is checked at its primary server")
    func privateZone() throws {
        var settings = DNSProvider.RFC2136(server: server, zone: "open.test")
        let name = "_acme-challenge.private.open.test"
        let clock = Clock()
        // No server answers at this address.
        let records = try DNSChallengeRecords(
            DNSProvider(method: .rfc2136(settings)), secrets: SecretReader(directory: "."), now: { clock.now },
            wait: { clock.wait($0) }, system: DNSLookup(servers: [DNSServer(host: "127.0.0.1", port: 1)]))
        try records.present(name: name, value: "x")
        try records.awaitPropagation(name: name, value: "x")
        settings.zone = "."
        #expect(throws: IssuanceFailure.self) { try self.records(.rfc2136(settings)) }
    }
}

@Suite struct DNSWebhookTests {
    private let web: Companion
    private let base: String

    init() throws {
        web = try Companion("http_server.py")
        base = "http://127.0.0.1:\(web.words[0])"
    }

    private func records(_ path: String, token: Secret? = nil) throws -> DNSChallengeRecords {
        let hook = DNSProvider.Webhook(url: ServiceURL(base + path), token: token)
        return try DNSChallengeRecords(
            DNSProvider(method: .webhook(hook)), secrets: SecretReader(directory: "."), now: { 0 },
            system: DNSLookup(servers: [DNSServer(host: "127.0.0.1", port: 1)]))
    }

    @Test("A webhook receives the action, name and value, with the token")
    func tells() throws {
        let records = try records("/status?n=204", token: Secret(.inline("canary")))
        try records.present(name: "_acme-challenge.a.test", value: "va\"lue")
        try records.cleanup(name: "_acme-challenge.a.test", value: "va\"lue")
        let log = try HTTPClient(userAgent: "test", plainHTTP: .thisMachine).send(HTTPRequest(.get, base + "/requests"))
        let requests = try #require(JSONSerialization.jsonObject(with: Data(log.body)) as? [[Any]])
        for (request, action) in zip(requests, ["present", "cleanup"]) {
            #expect(request[1] as? String == "POST" && request[4] as? String == "Bearer canary")
            let body = try JSONDecoder().decode([String: String].self, from: Data("\(request[3])".utf8))
            #expect(body == ["action": action, "name": "_acme-challenge.a.test", "value": "va\"lue"])
        }
        #expect(requests.count == 3)
    }

    @Test("A failing webhook's answer is quoted in one short line")
    func refused() throws {
        func reason(_ path: String) -> String? {
            #expect(throws: IssuanceFailure.self) {
                try records(path, token: Secret(.inline("canary"))).present(name: "_acme-challenge.a.test", value: "x")
            }?.reason
        }
        #expect(
            reason("/status?n=403&body=no%20such%0D%0Azone%1B%5B1m")
                == "the webhook answered present with 403: no such zone [1m")
        #expect(reason("/status?n=500") == "the webhook answered present with 500")
        let long = String(repeating: "x", count: 1000)
        #expect(reason("/status?n=500&body=\(long)") == "the webhook answered present with 500: " + long.prefix(200))
        let cut = String(repeating: "x", count: 196) + "canary"
        #expect(reason("/status?n=500&body=\(cut)")?.hasSuffix("x****") == true)
        let drop = reason("/drop") ?? ""
        #expect(drop.hasPrefix("the webhook for present: "))
        #expect(drop.hasSuffix(": the connection was closed without an answer"))
    }

    @Test("A silent webhook is not called again for the cleanup")
    func unanswered() throws {
        func actions(_ path: String) throws -> [String] {
            let records = try records(path)
            #expect(throws: IssuanceFailure.self) { try records.present(name: "_acme-challenge.a.test", value: "x") }
            try? records.cleanup(name: "_acme-challenge.a.test", value: "x")
            let client = try HTTPClient(userAgent: "test", plainHTTP: .thisMachine)
            let log = try client.send(HTTPRequest(.get, base + "/requests"))
            let requests = try #require(JSONSerialization.jsonObject(with: Data(log.body)) as? [[Any]])
            return requests.filter { $0[2] as? String == path }.map { "\($0[3])" }
        }
        #expect(try actions("/drop").count == 1)
        // A webhook that refuses may have written the record nevertheless.
        #expect(try actions("/status?n=500").count == 2)
    }

    @Test("An unreadable token and an unknown zone are reported")
    func unusable() throws {
        #expect(throws: IssuanceFailure("the variable AEGIS_TEST_NOWHERE is not set")) {
            try records("/status?n=204", token: Secret(.environment("AEGIS_TEST_NOWHERE")))
        }
        let failure = #expect(throws: IssuanceFailure.self) {
            try records("/status?n=204").awaitPropagation(name: "_acme-challenge.a.test", value: "x")
        }
        #expect(
            failure?.description == """
                who has to see '_acme-challenge.a.test' was not found: 127.0.0.1:1: connection refused \
                ('resolvers' names some that have to)
                """)
    }
}
