import ConfigModel
import Gateway
import Issuers
import PKI
import State
import Testing

@testable import AdminAPI

/// Certificates that the API stores, renews and deletes.
@Suite struct CertificateChangeTests {
    private let fixture: APIFixture
    private let token: String

    init() throws {
        fixture = try APIFixture()
        token = try fixture.token("writer", .write)
    }

    private func post(_ body: String) -> AdminResponse {
        fixture.ask("/api/v1/certificates", token, method: "POST", body: body)
    }

    private func body(_ issued: Issued, _ others: (String, PlainValue)...) -> String {
        PlainValue.map([("cert_pem", .string(issued.chain)), ("key_pem", .string(issued.key))] + others).jsonText
    }

    @Test("A certificate is stored with its key sealed, read, and deleted")
    func life() throws {
        let issued = try Issued(names: ["*.a.test", "a.test"], now: fixture.now)
        let made = post(body(issued, ("domains", .list([.string("x.a.test"), .string("a.test")]))))
        #expect(made.status == 201)
        #expect(made.text.hasPrefix(#"{"status":"created","id":1,"warnings":["has no intermediate: "#))
        #expect(made["Location"] == "/api/v1/certificates/1")
        let numbered = try #require(try fixture.store.certificate(numbered: 1)).certificate
        #expect(numbered.owner == .api && numbered.facts.source == .custom && !numbered.facts.autoRenew)
        #expect(numbered.name.hasPrefix("wildcard.a.test-"))
        let stored = try #require(try fixture.store.certificate(named: numbered.name))
        let key = try PrivateKey(der: stored.openKey(Sealer(key: fixture.masterKey)))
        #expect(String(decoding: try key.pem().plainCopy(), as: UTF8.self) == issued.key)
        #expect(!String(decoding: stored.sealedKey + stored.record, as: UTF8.self).contains("PRIVATE"))

        let again = post(body(issued))
        #expect(again.problem == "name-taken" && again.text.contains("is there already, as '\(numbered.name)'"))
        let text = fixture.ask("/api/v1/certificates/1", token).text + made.text + again.text
        let middle = issued.key.split(separator: "\n")[1]
        #expect(!text.contains(middle))

        #expect(fixture.ask("/api/v1/certificates/1?force=true", token, method: "DELETE").status == 204)
        #expect(fixture.ask("/api/v1/certificates/1", token).problem == "not-found")
        #expect(post(body(issued)).text.contains(#""id":2"#))
        let actions = try fixture.store.events(EventQuery()).map(\.event.action)
        #expect(actions.filter { $0 != "create-token" } == ["create", "delete", "create"])
    }

    @Test("A key and a certificate in each other's members are told at both")
    func swapped() throws {
        let issued = try Issued(names: ["a.test"], now: fixture.now)
        func errors(_ chain: String, _ key: String) -> [String] {
            let answer = post(PlainValue.map([("cert_pem", .string(chain)), ("key_pem", .string(key))]).jsonText)
            #expect(answer.problem == "invalid")
            return answer.text.matches(of: /"pointer":"([^"]+)","detail":"([^"]+)"/).map { "\($0.1): \($0.2)" }
        }
        let faults = [
            "/cert_pem: it is a private key, not a certificate", "/key_pem: it is a certificate, not a private key",
        ]
        #expect(errors(issued.key, issued.chain) == faults)
        #expect(errors(issued.key, issued.key) == [faults[0]])
        #expect(errors(issued.chain, issued.chain) == [faults[1]])
    }

    @Test("An unusable certificate is refused with a pointer to the fault, and no answer contains a key")
    func refusals() throws {
        let good = try Issued(names: ["a.test"], now: fixture.now)
        let other = try Issued(names: ["a.test"], now: fixture.now)
        let expired = try Issued(names: ["a.test"], now: fixture.now - 100 * 86_400, days: 50)
        func texts(_ chain: String, _ key: String) -> String {
            PlainValue.map([("cert_pem", .string(chain)), ("key_pem", .string(key))]).jsonText
        }
        let canary = "CANARY-4711"
        let samples: [(String, [String])] = [
            (texts(good.chain, other.key), ["/cert_pem"]),
            (texts(good.key, good.key), ["/cert_pem"]),
            (texts(good.chain, good.chain), ["/key_pem"]),
            (texts(good.chain, canary), ["/key_pem"]),
            (texts(canary, good.key), ["/cert_pem"]),
            (texts(expired.chain, expired.key), ["/cert_pem"]),
            (texts("", ""), ["/key_pem"]),
            (#"{"cert_pem":7}"#, ["/cert_pem", "/key_pem"]),
            (#"{"cert_pem":null,"key_pem":"\#(canary)"}"#, ["/cert_pem"]),
            (body(good, ("domains", .list([.string("a.test"), .string("b.test")]))), ["/domains/1"]),
            (body(good, ("domains", .string("a.test"))), ["/domains"]),
            (body(good, ("domains", .list([.int(1)]))), ["/domains/0"]),
            (body(good, ("name", .string("no name"))), ["/name"]),
            (body(good, ("nam", .string("x"))), ["/nam"]),
            (body(good, (canary + canary + canary, .string("x"))), [""]), (body(good, ("x", .string("x"))), ["/x"]),
        ]
        for (body, pointers) in samples {
            let answer = post(body)
            #expect(answer.problem == "invalid", "\(answer.text)")
            #expect(answer.text.matches(of: /"pointer":"([^"]*)"/).map { String($0.1) } == pointers, "\(answer.text)")
            #expect(!answer.text.contains(canary))
            for key in [good, other, expired].map(\.key) {
                #expect(!answer.text.contains(key.split(separator: "\n")[1]))
            }
        }
        #expect(try fixture.store.certificates(CertificateQuery()).isEmpty)
    }

    @Test("A certificate's name is unique, whoever owns the certificate")
    func names() throws {
        try fixture.commit(.putCertificate(fixture.certificate("site")))
        let hosts = #"{"domain":"h.test","respond":{},"ssl_mode":"letsencrypt"}"#
        try fixture.commit(.putItem(ItemID(.host, "h.test"), owner: .file, record: Array(hosts.utf8)))
        let issued = try Issued(names: ["a.test"], now: fixture.now)
        for name in ["site", "h.test"] {
            let answer = post(body(issued, ("name", .string(name))))
            #expect(answer.problem == "name-taken" && answer.text.contains(#""pointer":"/name""#), "\(answer.text)")
        }
        #expect(post(body(issued, ("name", .string("mine")))).status == 201)
    }

    @Test("A certificate in use is not deleted, and the answer names its hosts")
    func inUse() throws {
        let issued = try Issued(names: ["a.test"], now: fixture.now)
        #expect(post(body(issued)).status == 201)
        let host = #"{"domain":"a.test","respond":{},"ssl_mode":"custom","ssl_cert_id":1,"enabled":false}"#
        #expect(fixture.ask("/api/v1/hosts", token, method: "POST", body: host).status == 201)
        let refused = fixture.ask("/api/v1/certificates/1", token, method: "DELETE")
        #expect(refused.status == 409 && refused.problem == "in-use" && refused.text.contains("It is used by a.test."))
        #expect(fixture.ask("/api/v1/hosts/a.test", token, method: "DELETE").status == 204)
        #expect(fixture.ask("/api/v1/certificates/1?force=true", token, method: "DELETE").status == 204)
    }

    @Test("A certificate that clients get without a host says so, and is not deleted unless by force")
    func servedWithoutHost() throws {
        let (first, second) = (
            try Issued(names: ["a.test", "b.test"], now: fixture.now), try Issued(names: ["b.test"], now: fixture.now)
        )
        #expect(post(body(first)).status == 201)
        let read = fixture.ask("/api/v1/certificates/1", token).text
        #expect(read.contains(#""hosts":[],"served_names":["a.test","b.test"]"#), "\(read)")
        let refused = fixture.ask("/api/v1/certificates/1", token, method: "DELETE")
        #expect(refused.problem == "in-use" && refused.text.contains("Clients of a.test, b.test get it"))
        #expect(refused.text.contains("force=true"))
        // Another one stands in for one of the names.
        #expect(post(body(second)).status == 201)
        let rest = fixture.ask("/api/v1/certificates/1", token, method: "DELETE")
        #expect(rest.text.contains("Clients of a.test get it"))
        #expect(fixture.ask("/api/v1/certificates/2", token, method: "DELETE").status == 204)
        // A host with a certificate of its own takes its names away.
        #expect(post(body(second, ("name", .string("own")))).status == 201)
        let host = #"{"domain":"b.test","respond":{},"ssl_mode":"custom","ssl_cert_id":3}"#
        #expect(fixture.ask("/api/v1/hosts", token, method: "POST", body: host).status == 201)
        #expect(fixture.ask("/api/v1/certificates/1", token).text.contains(#""served_names":["a.test"]"#))
        #expect(fixture.ask("/api/v1/certificates/1?force=no", token, method: "DELETE").problem == "invalid")
        #expect(fixture.ask("/api/v1/certificates/1?force=true", token, method: "DELETE").status == 204)
        #expect(fixture.ask("/api/v1/certificates/3?force=true", token, method: "DELETE").problem == "in-use")
    }

    @Test("The API can't delete a certificate that the file declares")
    func fileOwned() throws {
        try fixture.commit(.putCertificate(fixture.certificate("site")))
        let answer = fixture.ask("/api/v1/certificates/1", token, method: "DELETE")
        #expect(answer.problem == "owned-by-file")
        for id in ["2", "0", "x", "01"] {
            #expect(fixture.ask("/api/v1/certificates/\(id)", token, method: "DELETE").problem == "not-found")
        }
    }

    @Test("A renewal request is stored in the state, also for the file's certificates, but not for own files")
    func renewal() throws {
        let record = #"{"issuer":"lan","domains":["site.test"]}"#
        var site = try fixture.certificate("site", domains: ["site.test"], source: .localCA)
        site.record = Array(record.utf8)
        site.facts.autoRenew = true
        var left = site
        left.name = "left"
        left.facts.autoRenew = false
        try fixture.commit(
            .putItem(ItemID(.issuer, "lan"), owner: .file, record: Array(#"{"type":"local_ca"}"#.utf8)),
            .putCertificate(site), .putCertificate(left), .putCertificate(fixture.certificate("own")))
        let before = try #require(ManagedCertificate(site))
        let issuers = ["lan": try #require(Issuer(record: Array(#"{"type":"local_ca"}"#.utf8)))]
        func dueAt() throws -> Int64 {
            before.dueAt(site.facts, from: issuers, after: try fixture.store.renewal(of: "site"))
        }
        #expect(try dueAt() > fixture.now)
        let answer = fixture.ask("/api/v1/certificates/1/renew", token, method: "POST")
        #expect(answer.status == 202 && answer.text == "{\"status\":\"accepted\",\"id\":1}\n", "\(answer.text)")
        #expect(try dueAt() <= fixture.now)
        #expect(try fixture.store.events(EventQuery()).last?.event.action == "renew")
        // A try that waits after a failure waits no longer.
        var progress = try #require(try fixture.store.renewal(of: "site"))
        progress.failures = 3
        progress.nextTryAt = fixture.now + 1000
        try fixture.store.putRenewal(progress)
        #expect(try dueAt() > fixture.now)
        #expect(fixture.ask("/api/v1/certificates/1/renew", token, method: "POST").status == 202)
        #expect(try dueAt() <= fixture.now)
        #expect(try fixture.store.renewal(of: "site")?.failures == 3)
        for (id, reason) in [("2", "auto_renew is false"), ("3", "Your own certificates are replaced")] {
            let refused = fixture.ask("/api/v1/certificates/\(id)/renew", token, method: "POST")
            #expect(refused.problem == "not-possible" && refused.text.contains(reason), "\(refused.text)")
        }
        #expect(fixture.ask("/api/v1/certificates/9/renew", token, method: "POST").problem == "not-found")
    }
}
