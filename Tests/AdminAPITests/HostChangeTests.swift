import ConfigModel
import Gateway
import State
import Testing

@testable import AdminAPI

/// Hosts that the API makes, changes and deletes.
@Suite struct HostChangeTests {
    private let fixture: APIFixture
    private let token: String

    init() throws {
        fixture = try APIFixture()
        token = try fixture.token("writer", .write)
    }

    private func record(_ name: String) throws -> String? {
        try fixture.store.item(ItemID(.host, name)).map { String(decoding: $0.record, as: UTF8.self) }
    }

    private func post(_ body: String, fields: [(String, String)] = []) -> AdminResponse {
        fixture.ask("/api/v1/hosts", token, method: "POST", fields: fields, body: body)
    }

    private func patch(_ name: String, _ body: String, fields: [(String, String)] = []) -> AdminResponse {
        fixture.ask("/api/v1/hosts/\(name)", token, method: "PATCH", fields: fields, body: body)
    }

    private static let simple = #"{"domain":"a.test","upstreams":["http://127.0.0.1:1"]}"#

    @Test("A host is created, read, changed and deleted, each with an event")
    func life() throws {
        let made = post(Self.simple)
        #expect(made.status == 201)
        #expect(made.text == "{\"status\":\"created\",\"id\":\"a.test\"}\n")
        #expect(made["Location"] == "/api/v1/hosts/a.test")
        #expect(made["Aegis-Revision"] == "\(try fixture.store.revision())")
        #expect(fixture.awaited.withLock { $0 } == [try fixture.store.revision()])
        #expect(try fixture.store.item(ItemID(.host, "a.test"))?.owner == .api)
        let read = fixture.ask("/api/v1/hosts/a.test", token)
        #expect(read.text.contains(#""owner":"api""#) && read.text.contains(#""upstreams":["http://127.0.0.1:1"]"#))

        let changed = patch("a.test", #"{"aliases":["b.test"],"enabled":false}"#)
        #expect(changed.status == 200 && changed.text == "{\"status\":\"changed\",\"id\":\"a.test\"}\n")
        for (answer, tag) in [(made, read), (changed, fixture.ask("/api/v1/hosts/a.test", token))] {
            #expect(answer["ETag"] == tag["ETag"] && answer["ETag"] != nil)
        }
        #expect(
            try record("a.test")
                == #"{"domain":"a.test","aliases":["b.test"],"enabled":false,"upstreams":["http://127.0.0.1:1"]}"#)
        #expect(patch("a.test", #"{"aliases":null,"enabled":null}"#).status == 200)
        #expect(try record("a.test") == #"{"domain":"a.test","upstreams":["http://127.0.0.1:1"]}"#)

        let deleted = fixture.ask("/api/v1/hosts/a.test", token, method: "DELETE")
        #expect(deleted.status == 204 && deleted.body.isEmpty && deleted["Content-Type"] == nil)
        #expect(try record("a.test") == nil)
        #expect(fixture.ask("/api/v1/hosts/a.test", token, method: "DELETE").problem == "not-found")

        var query = EventQuery()
        query.item = ItemID(.host, "a.test")
        let events = try fixture.store.events(query).map(\.event)
        #expect(events.map(\.action) == ["create", "change", "change", "delete"])
        #expect(events.allSatisfy { $0.actor == "token:writer" && $0.at == fixture.now })
        #expect(events.allSatisfy { $0.details["client"] == "192.0.2.7" && $0.details["request_id"] == "request-1" })
        #expect(events.map { $0.details["changed"] } == [nil, "aliases, enabled", "aliases, enabled", nil])
    }

    @Test("A change that changes nothing keeps the revision, and has no event")
    func noChange() throws {
        #expect(post(Self.simple).status == 201)
        let revision = try fixture.store.revision()
        let events = try fixture.store.events(EventQuery()).count
        let key = [("idempotency-key", "once")]
        for (body, fields) in [
            ("{}", []), (#"{"enabled":true,"upstreams":["http://127.0.0.1:1"]}"#, []), (#"{"enabled":true}"#, key),
        ] {
            let answer = patch("a.test", body, fields: fields)
            #expect(answer.status == 200 && answer["Aegis-Revision"] == "\(revision)", "\(body)")
        }
        #expect(try fixture.store.revision() == revision && fixture.store.events(EventQuery()).count == events)
        // A request that is repeated changes nothing, even if the host has changed meanwhile.
        #expect(patch("a.test", #"{"enabled":false}"#).status == 200)
        #expect(patch("a.test", #"{"enabled":true}"#, fields: key)["Aegis-Revision"] == "\(revision)")
        #expect(try #require(try record("a.test")).contains(#""enabled":false"#))
    }

    @Test("Messages name members of the API, not keys of the file")
    func words() throws {
        #expect(post(Self.simple).status == 201)
        let unknown = patch("a.test", #"{"id":"a.test"}"#).text
        #expect(unknown.contains(#""pointer":"/id","detail":"is unknown; there are: aliases, "#), "\(unknown)")
        for word in ["hsts_max_age", "issuers", "ssl_cert_id", "ssl_key_pem"] { #expect(unknown.contains(word)) }
        for word in ["hsts,", "certificate,", "issuer,", "'hsts'"] { #expect(!unknown.contains(word), "\(word)") }
        #expect(patch("a.test", #"{"hsts_maxage":1}"#).text.contains("did you mean 'hsts_max_age'?"))
        #expect(patch("a.test", #"{"upstreem":[]}"#).text.contains("did you mean 'upstreams'?"))
        let custom = patch("a.test", #"{"ssl_mode":"custom"}"#).text
        #expect(custom.contains("custom needs ssl_cert_id, or ssl_cert_pem and ssl_key_pem"), "\(custom)")
        let issued = try Issued(names: ["a.test"], now: fixture.now)
        #expect(fixture.ask("/api/v1/certificates", token, method: "POST", body: issued.body).status == 201)
        let preload = patch(
            "a.test", #"{"ssl_mode":"custom","ssl_cert_id":1,"hsts_enabled":true,"hsts_preload":true,"hsts_max_age":1}"#
        ).text
        #expect(preload.contains("hsts_preload needs hsts_max_age of at least"), "\(preload)")
        #expect(preload.contains("set hsts_include_subdomains: true"), "\(preload)")
    }

    @Test("No host is given the certificate that was made for another host")
    func certificateOfAnotherHost() throws {
        var made = try fixture.certificate("b.test", source: .letsencrypt)
        made.record = Array(#"{"issuers":["letsencrypt"],"domains":["b.test"]}"#.utf8)
        try fixture.commit(.putCertificate(made))
        let refused = post(#"{"domain":"a.test","respond":{},"ssl_mode":"custom","ssl_cert_id":1}"#)
        #expect(refused.problem == "invalid")
        #expect(
            refused.text.contains(
                #""pointer":"/ssl_cert_id","detail":"this certificate is made for host 'b.test' alone"#),
            "\(refused.text)")
    }

    @Test("The API can't change a host that the file declares")
    func fileOwned() throws {
        try fixture.commit(.putItem(ItemID(.host, "a.test"), owner: .file, record: Array(Self.simple.utf8)))
        for answer in [
            patch("a.test", "{}"), fixture.ask("/api/v1/hosts/a.test", token, method: "DELETE"),
        ] {
            #expect(answer.problem == "owned-by-file" && answer.status == 409)
            #expect(answer.text.contains("The file declares host 'a.test' (generation 0)."))
        }
        #expect(try record("a.test") == Self.simple)
    }

    @Test("A host's certificate that could not be obtained has its reason, and is tried again by request")
    func failing() throws {
        let issuer = #"{"type":"acme","directory":"https://ca.test/dir"}"#
        try fixture.commit(.putItem(ItemID(.issuer, "letsencrypt"), owner: .file, record: Array(issuer.utf8)))
        let made = post(#"{"domain":"a.test","respond":{},"ssl_mode":"letsencrypt"}"#)
        #expect(made.status == 201, "\(made.text)")
        var progress = RenewalProgress(certificate: "a.test")
        progress.failures = 2
        progress.lastFailure = "the CA refuses it"
        progress.nextTryAt = fixture.now + 3600
        try fixture.store.putRenewal(progress)
        let read = fixture.ask("/api/v1/hosts/a.test", token).text
        #expect(read.contains(#""certificate_failure":"the CA refuses it","next_try_at":"2"#), "\(read)")
        let answer = fixture.ask("/api/v1/hosts/a.test/renew", token, method: "POST")
        #expect(answer.status == 202, "\(answer.text)")
        #expect(try fixture.store.renewal(of: "a.test")?.nextTryAt == fixture.now)
        #expect(try fixture.store.renewal(of: "a.test")?.failures == 2)
        // A certificate that nobody has tried to obtain is tried now, too.
        #expect(post(#"{"domain":"new.test","respond":{},"ssl_mode":"letsencrypt"}"#).status == 201)
        #expect(fixture.ask("/api/v1/hosts/new.test/renew", token, method: "POST").status == 202)
        #expect(try fixture.store.renewal(of: "new.test")?.nextTryAt == fixture.now)
        #expect(try fixture.store.renewal(of: "new.test")?.failures == 0)
        #expect(post(#"{"domain":"b.test","respond":{}}"#).status == 201)
        #expect(fixture.ask("/api/v1/hosts/b.test/renew", token, method: "POST").problem == "not-possible")
        #expect(fixture.ask("/api/v1/hosts/c.test/renew", token, method: "POST").problem == "not-found")
    }

    @Test("A host of the API verifies peers only by files that the file names for the same use")
    func files() throws {
        func item(_ kind: ItemKind, _ name: String, _ record: String) -> StateMutation {
            .putItem(ItemID(kind, name), owner: .file, record: Array(record.utf8))
        }
        try fixture.commit(
            item(.issuer, "letsencrypt", #"{"type":"acme","directory":"https://ca.test/dir"}"#),
            item(.identity, "mesh", #"{"source":"file","cert_file":"a","key_file":"b","ca_file":"/etc/mesh.pem"}"#),
            item(
                .host, "file.test",
                """
                {"domain":"file.test","upstreams":["https://127.0.0.1:1"],"upstream_tls":{"ca_file":"up.pem"},\
                "client_auth":{"ca_file":"clients.pem","crl_files":["one.crl"]}}
                """))
        func make(_ name: String, _ upstreamTLS: String, _ clientAuth: String) -> AdminResponse {
            post(
                """
                {"domain":"\(name)","ssl_mode":"letsencrypt","upstreams":["https://127.0.0.1:1"],\
                "upstream_tls":{\(upstreamTLS)},"client_auth":{\(clientAuth)}}
                """)
        }
        let made = make("a.test", #""ca_file":"/etc/mesh.pem""#, #""ca_file":"up.pem","crl_files":["one.crl"]"#)
        #expect(made.status == 201, "\(made.text)")
        for (tls, auth, pointers) in [
            (#""ca_file":"/etc/passwd""#, #""identity":"mesh""#, ["/upstream_tls/ca_file"]),
            (#""ca_file":"one.crl""#, #""ca_file":"./up.pem""#, ["/upstream_tls/ca_file", "/client_auth/ca_file"]),
            (
                #""ca_file":"up.pem""#, #""ca_file":"up.pem","crl_files":["one.crl","up.pem"]"#,
                ["/client_auth/crl_files/1"]
            ),
        ] {
            let refused = make("b.test", tls, auth)
            #expect(refused.problem == "invalid", "\(refused.text)")
            for pointer in pointers { #expect(refused.text.contains(#""pointer":"\#(pointer)""#), "\(refused.text)") }
            #expect(refused.text.contains("since no item of aegis.yaml names this path"), "\(refused.text)")
        }
        // What a host already has may stay, but no other host gets it.
        try fixture.commit(.deleteItem(ItemID(.host, "file.test")))
        #expect(patch("a.test", #"{"enabled":false}"#).status == 200)
        #expect(patch("a.test", #"{"upstream_tls":{"ca_file":"clients.pem"}}"#).problem == "invalid")
        #expect(make("b.test", #""ca_file":"up.pem""#, #""identity":"mesh""#).problem == "invalid")
    }

    @Test("No answer quotes a word that may be a key or a token")
    func quotes() throws {
        let canary = "dG9rZW4tY2FuYXJ5LW9mLXRoaXMtdGVzdC0wMTIzNDU2Nzg5"
        for body in [
            #"{"domain":"\#(canary)!","respond":{}}"#, #"{"domain":"a.test","upstreams":["\#(canary)"]}"#,
            #"{"domain":"a.test","respond":{},"aliases":["x \#(canary)"]}"#,
            #"{"domain":"a.test","respond":{},"\#(canary)":1}"#, #"{"domain":"a.test","tls_min_version":"\#(canary)"}"#,
            #"{"domain":"a.test","respond":{},"ssl_mode":"custom","ssl_cert_id":"\#(canary)"}"#,
        ] {
            let answer = post(body)
            #expect(answer.status == 400 && !answer.text.contains(canary), "\(answer.text)")
        }
        let query = fixture.ask("/api/v1/hosts?\(canary)=1", token)
        #expect(query.problem == "invalid" && !query.text.contains(canary))
    }

    struct Fault: Sendable {
        let body: String
        let problem: String
        /// The JSON pointers in `errors`, in this order.
        let pointers: [String]
    }

    static let faults: [Fault] = [
        Fault(body: "{}", problem: "invalid", pointers: ["/domain"]),
        Fault(body: #"{"domain":"a.test","tls_min_version":1.2}"#, problem: "invalid", pointers: ["/tls_min_version"]),
        Fault(
            body: #"{"domain":"a.test","aliases":["x",{"a":1,"a":2}]}"#, problem: "invalid",
            pointers: ["/aliases/1/a"]),
        Fault(
            body: #"{"domain":"own.test","respond":{},"force_https":true}"#, problem: "invalid",
            pointers: ["/force_https", "/domain"]),
        Fault(
            body: #"{"domain":"a.test","respond":{},"ssl_mode":"custom","ssl_cert_id":"1"}"#, problem: "invalid",
            pointers: ["/ssl_cert_id"]),
        Fault(body: "[]", problem: "invalid", pointers: [""]),
        Fault(body: #"{"domain":"a b","respond":{}}"#, problem: "invalid", pointers: ["/domain"]),
        Fault(body: #"{"domain":7,"respond":{}}"#, problem: "invalid", pointers: ["/domain"]),
        Fault(body: #"{"domain":"a.test"}"#, problem: "invalid", pointers: ["/domain"]),
        Fault(
            body: #"{"domain":"a.test","respond":{"status":99},"aliases":["b.test","no_ way"]}"#, problem: "invalid",
            pointers: ["/respond/status", "/aliases/1"]),
        Fault(body: #"{"domain":"a.test","respond":{},"upstreem":[]}"#, problem: "invalid", pointers: ["/upstreem"]),
        Fault(
            body: #"{"domain":"a.test","respond":{},"aliases":["a.test"]}"#, problem: "invalid",
            pointers: ["/aliases/0"]),
        Fault(
            body: #"{"domain":"a.test","respond":{},"force_https":true}"#, problem: "invalid",
            pointers: ["/force_https"]),
        Fault(
            body: #"{"domain":"a.test","respond":{},"hsts_enabled":true,"hsts_max_age":-1}"#, problem: "invalid",
            pointers: ["/hsts_enabled", "/hsts_max_age"]),
        Fault(
            body: #"{"domain":"a.test","respond":{},"hsts":{},"certificate":"x"}"#, problem: "invalid",
            pointers: ["/hsts", "/certificate"]),
        Fault(
            body: #"{"domain":"a.test","respond":{},"ssl_mode":"custom","ssl_cert_id":7}"#, problem: "invalid",
            pointers: ["/ssl_cert_id"]),
        Fault(
            body: #"{"domain":"a.test","respond":{},"ssl_mode":"custom"}"#, problem: "invalid", pointers: ["/ssl_mode"]),
        Fault(
            body: #"{"domain":"a.test","respond":{},"ssl_mode":"letsencrypt"}"#, problem: "invalid",
            pointers: ["/ssl_mode"]),
        Fault(
            body: #"{"domain":"a.test","respond":{},"ssl_cert_pem":"x"}"#, problem: "invalid",
            pointers: ["/ssl_key_pem"]),
        Fault(
            body: #"{"domain":"a.test","respond":{},"ssl_cert_pem":1,"ssl_key_pem":[]}"#, problem: "invalid",
            pointers: ["/ssl_cert_pem", "/ssl_key_pem"]),
        Fault(
            body: #"{"domain":"a.test","respond":{},"ssl_cert_pem":"x","ssl_key_pem":"y"}"#, problem: "invalid",
            pointers: ["/ssl_key_pem"]),
        Fault(
            body: #"{"domain":"a.test","respond":{},"headers":{"request":{"set":{"authorization":"(hidden)"}}}}"#,
            problem: "invalid", pointers: ["/headers/request/set"]),
        Fault(body: #"{"domain":"own.test","respond":{}}"#, problem: "name-taken", pointers: ["/domain"]),
        Fault(body: #"{"domain":"www.own.test","respond":{}}"#, problem: "name-taken", pointers: ["/domain"]),
        Fault(
            body: #"{"domain":"x.test","aliases":["y.test","OWN.test","www.own.test"],"respond":{}}"#,
            problem: "name-taken", pointers: ["/aliases/1", "/aliases/2"]),
        Fault(
            body: #"{"domain":"x.test","respond":{},"client_auth":{"identity":"none"},"ssl_mode":"none"}"#,
            problem: "invalid", pointers: ["/client_auth", "/client_auth/identity"]),
    ]

    @Test("A faulty host is refused with a pointer to each fault", arguments: faults)
    func refusals(_ sample: Fault) throws {
        let own = #"{"domain":"own.test","aliases":["www.own.test"],"respond":{}}"#
        try fixture.commit(.putItem(ItemID(.host, "own.test"), owner: .file, record: Array(own.utf8)))
        let revision = try fixture.store.revision()
        let answer = post(sample.body)
        #expect(answer.problem == sample.problem, "\(answer.text)")
        let pointers = answer.text.matches(of: /"pointer":"([^"]*)"/).map { String($0.1) }
        #expect(pointers.sorted() == sample.pointers.sorted(), "\(answer.text)")
        #expect(try fixture.store.revision() == revision)
        #expect(try fixture.store.hosts(after: nil, limit: 9).map(\.name) == ["own.test"])
    }

    @Test("A host can't take the name of another API host, but keeps its own names")
    func ownNames() throws {
        #expect(post(#"{"domain":"a.test","aliases":["b.test"],"respond":{}}"#).status == 201)
        let taken = post(#"{"domain":"b.test","respond":{}}"#)
        #expect(taken.problem == "name-taken" && taken.text.contains("host 'a.test', which the admin API owns"))
        #expect(patch("a.test", #"{"aliases":["b.test","c.test"]}"#).status == 200)
        #expect(patch("a.test", #"{"domain":"z.test"}"#).text.contains(#""pointer":"/domain""#))
        #expect(post(#"{"domain":"a.test","respond":{}}"#).problem == "name-taken")
    }

    @Test("A default HSTS policy stays when something else changes")
    func policy() throws {
        let body = #"""
            {"domain":"a.test","respond":{},"ssl_mode":"custom","ssl_cert_id":1,"hsts_enabled":true}
            """#
        let issued = try Issued(names: ["a.test"], now: fixture.now)
        #expect(fixture.ask("/api/v1/certificates", token, method: "POST", body: issued.body).status == 201)
        #expect(post(body).status == 201)
        #expect(patch("a.test", #"{"balance":"ip_hash"}"#).status == 200)
        #expect(try #require(try record("a.test")).contains(#""hsts":{}"#))
        let read = fixture.ask("/api/v1/hosts/a.test", token).text
        #expect(read.contains(#""hsts_enabled":true,"hsts_max_age":31536000"#) && read.contains(#""ssl_cert_id":1"#))
        #expect(patch("a.test", #"{"hsts_enabled":null}"#).status == 200)
        #expect(try #require(try record("a.test")).contains("hsts") == false)
    }

    @Test("Values that the API does not show stay when something else changes")
    func hiddenValues() throws {
        let body = #"""
            {"domain":"a.test","upstreams":["http://127.0.0.1:1"],
            "headers":{"request":{"set":{"authorization":"Basic CANARY"}}}}
            """#
        #expect(post(body).status == 201)
        #expect(patch("a.test", #"{"headers":{"response":{"set":{"x":"y"}}}}"#).status == 200)
        #expect(try #require(try record("a.test")).contains("Basic CANARY"))
        #expect(!fixture.ask("/api/v1/hosts/a.test", token).text.contains("CANARY"))
    }

    @Test("A host gets the certificate sent with it, and a later one replaces it")
    func certificateSent() throws {
        func body(_ issued: Issued) -> String {
            PlainValue.map([
                ("domain", .string("a.test")), ("respond", .object([])), ("ssl_mode", .string("custom")),
                ("ssl_cert_pem", .string(issued.chain)), ("ssl_key_pem", .string(issued.key)),
            ]).jsonText
        }
        let first = try Issued(names: ["a.test"], now: fixture.now)
        let second = try Issued(names: ["a.test", "b.test"], now: fixture.now)
        let other = try Issued(names: ["other.test"], now: fixture.now)
        let refused = post(body(other))
        #expect(refused.problem == "invalid" && refused.text.contains(#""pointer":"/ssl_cert_pem""#), "\(refused.text)")
        #expect(try fixture.store.number(ofCertificate: "other.test") == nil)
        #expect(post(body(first)).status == 201)
        #expect(fixture.ask("/api/v1/hosts/a.test", token).text.contains(#""ssl_cert_id":1"#))
        let texts = PlainValue.map([("ssl_cert_pem", .string(second.chain)), ("ssl_key_pem", .string(second.key))])
        #expect(patch("a.test", texts.jsonText).status == 200)
        let now = try #require(try fixture.store.certificate(numbered: 1)).certificate
        #expect(now.facts.domains == ["a.test", "b.test"])
        #expect(try fixture.store.certificate(numbered: 2) == nil)
        // Aliases that it does not cover are refused.
        let uncovered = patch("a.test", #"{"aliases":["c.test"]}"#)
        #expect(uncovered.text.contains(#""pointer":"/ssl_cert_id","detail":"it does not cover 'c.test'"#))
    }

    @Test("A host whose ssl_mode changes loses the certificate that was made for it")
    func ownCertificate() throws {
        try fixture.commit(
            .putItem(
                ItemID(.issuer, "letsencrypt"), owner: .file,
                record: Array(#"{"type":"acme","directory":"https://ca.example.com/dir"}"#.utf8)))
        let body = #"{"domain":"a.test","respond":{},"ssl_mode":"letsencrypt"}"#
        for end in [{ patch("a.test", #"{"ssl_mode":"none"}"#).status == 200 }, delete] {
            #expect(post(body).status == 201)
            var own = try fixture.certificate("a.test", source: .letsencrypt)
            own.owner = .api
            own.record = Array(#"{"issuers":["letsencrypt"],"domains":["a.test"]}"#.utf8)
            try fixture.commit(.putCertificate(own))
            let number = try #require(try fixture.store.number(ofCertificate: "a.test"))
            let inUse = fixture.ask("/api/v1/certificates/\(number)", token, method: "DELETE")
            #expect(inUse.problem == "in-use" && inUse.text.contains("a.test"))
            #expect(end())
            #expect(try fixture.store.number(ofCertificate: "a.test") == nil)
            _ = delete()
        }
    }

    private func delete() -> Bool { fixture.ask("/api/v1/hosts/a.test", token, method: "DELETE").status == 204 }
}
