import ConfigModel
import Gateway
import State
import Testing

@testable import AdminAPI

/// What the routes read from the state.
@Suite struct ResourceTests {
    private let fixture: APIFixture
    private let token: String

    init() throws {
        fixture = try APIFixture()
        token = try fixture.token()
    }

    private func ids(_ answer: AdminResponse) -> [String] {
        answer.text.matches(of: /"id":("[^"]+"|\d+)/).map { String($0.1).replacing("\"", with: "") }
    }

    private func next(_ answer: AdminResponse) -> String? {
        answer.text.firstMatch(of: /"next":"([^"]+)"/).map { String($0.1) }
    }

    /// The ids of all parts of a list.
    private func all(_ path: String, limit: Int) throws -> [String] {
        var found: [String] = []
        var cursor: String?
        repeat {
            let separator = path.contains("?") ? "&" : "?"
            let answer = fixture.ask(
                path + separator + "limit=\(limit)" + (cursor.map { "&cursor=\($0)" } ?? ""), token)
            #expect(answer.status == 200)
            let part = ids(answer)
            #expect(part.count <= limit)
            found += part
            cursor = next(answer)
        } while cursor != nil
        return found
    }

    @Test("Pages of a list leave nothing out, even if items are deleted meanwhile")
    func parts() throws {
        let names = (0..<7).map { "c\($0).test" }
        for name in names { try fixture.commit(.putCertificate(fixture.certificate(name))) }
        for limit in 1...8 { #expect(try all("/api/v1/certificates", limit: limit) == (1...7).map { "\($0)" }) }
        let first = fixture.ask("/api/v1/certificates?limit=3", token)
        try fixture.commit(.deleteItem(ItemID(.certificate, "c0.test")), .deleteItem(ItemID(.certificate, "c3.test")))
        let second = fixture.ask("/api/v1/certificates?limit=3&cursor=\(try #require(next(first)))", token)
        #expect(ids(first) + ids(second) == ["1", "2", "3", "5", "6", "7"])
        #expect(next(second) == nil)
    }

    @Test("A certificate's number never changes and is never given again")
    func numbers() throws {
        for name in ["a", "b"] { try fixture.commit(.putCertificate(fixture.certificate(name))) }
        // A renewed certificate keeps its number.
        try fixture.commit(.putCertificate(fixture.certificate("b", days: 180)))
        #expect(try fixture.store.number(ofCertificate: "b") == 2)
        // So does a kept certificate that is restored or issued anew.
        try fixture.commit(.keepCertificate(name: "b", since: fixture.now))
        try fixture.commit(.putCertificate(fixture.certificate("c")))
        try fixture.commit(.restoreCertificate(name: "b"))
        #expect(try fixture.store.number(ofCertificate: "b") == 2)
        try fixture.commit(.keepCertificate(name: "b", since: fixture.now))
        try fixture.commit(.putCertificate(fixture.certificate("b")))
        #expect(try fixture.store.number(ofCertificate: "b") == 2)
        #expect(try fixture.store.number(ofCertificate: "c") == 3)
        // The number of a deleted certificate is not given again.
        try fixture.commit(.deleteItem(ItemID(.certificate, "c")))
        try fixture.commit(.putCertificate(fixture.certificate("d")))
        #expect(try fixture.store.number(ofCertificate: "d") == 4)
        #expect(fixture.ask("/api/v1/certificates/3", token).problem == "not-found")
    }

    @Test("Certificates are filtered by name, source and expiry")
    func filters() throws {
        try fixture.commit(
            .putCertificate(fixture.certificate("one", domains: ["a.example.com", "b.example.com"])),
            .putCertificate(fixture.certificate("two", domains: ["*.example.com"], days: 30, source: .localCA)),
            .putCertificate(fixture.certificate("three", domains: ["a.example.com.test"], days: 10)))
        func found(_ query: String) -> [String] { ids(fixture.ask("/api/v1/certificates?\(query)", token)) }
        #expect(found("domain=a.example.com") == ["1", "2"])
        #expect(found("domain=A.Example.COM") == ["1", "2"])
        #expect(found("domain=c.example.com") == ["2"])
        #expect(found("domain=x.c.example.com") == [])
        #expect(found("domain=*.example.com") == ["2"])
        #expect(found("domain=example.com") == [])
        #expect(found("source=local_ca") == ["2"])
        #expect(found("expires_before=\(UTCTime.rfc3339(fixture.now + 20 * 86_400))") == ["3"])
        #expect(found("domain=a.example.com&source=custom") == ["1"])
        for query in ["domain=a..b", "domain=", "source=x", "expires_before=1"] {
            #expect(fixture.ask("/api/v1/certificates?\(query)", token).problem == "invalid", "\(query)")
        }
    }

    @Test("A certificate's answer has all documented members, and never its key")
    func certificate() throws {
        try fixture.commit(
            .putCertificate(fixture.certificate("shop", domains: ["a.test", "b.test"])),
            .putItem(
                ItemID(.host, "a.test"), owner: .file,
                record: Array(#"{"domain":"a.test","ssl_mode":"custom","certificate":"shop"}"#.utf8)),
            .putItem(
                ItemID(.host, "b.test"), owner: .file,
                record: Array(#"{"domain":"b.test","ssl_mode":"custom","certificate":"shopping"}"#.utf8)),
            .putItem(
                ItemID(.host, "c.test"), owner: .file,
                record: Array(#"{"domain":"c.test","respond":{"body":"\"shop\""}}"#.utf8)))
        let answer = fixture.ask("/api/v1/certificates/1", token)
        let day: Int64 = 86_400
        #expect(
            answer.text == """
                {"id":1,"name":"shop","owner":"file","domains":["a.test","b.test"],"source":"custom","issuer":"A CA",\
                "not_before":"\(UTCTime.rfc3339(fixture.now - day))","expires_at":"\(UTCTime.rfc3339(fixture.now + 90 * day))",\
                "auto_renew":false,"created_at":"\(UTCTime.rfc3339(fixture.now))","status":"valid","problem":null,"warning":null,\
                "fingerprint":"ab","hosts":["a.test"],"served_names":["b.test"],"warnings":[],"renews_at":null,"failures":0,"last_failure":null}

                """)
        for id in ["2", "0", "-1", "01", "+1", "a", "1.0", "99999999999999999999"] {
            #expect(fixture.ask("/api/v1/certificates/\(id)", token).problem == "not-found", "\(id)")
        }
        fixture.now += 91 * day
        #expect(
            fixture.ask("/api/v1/certificates/1", token).text
                .contains("\"status\":\"expired\",\"problem\":\"has expired\""))
        try fixture.commit(.noteLoss(certificate: "shop", fingerprint: "ab", reason: "was revoked"))
        #expect(
            fixture.ask("/api/v1/certificates/1", token).text
                .contains("\"status\":\"unusable\",\"problem\":\"was revoked\""))
    }

    @Test("A certificate that nobody renews is a problem a week before it expires, and a warning a month before")
    func expiringCertificates() throws {
        try fixture.commit(
            .putCertificate(fixture.certificate("soon", domains: ["soon.test"], days: 2)),
            .putCertificate(fixture.certificate("later", domains: ["later.test"], days: 20)),
            .putCertificate(fixture.certificate("taken", domains: ["a.test"], days: 2)),
            .putCertificate(fixture.certificate("own", domains: ["a.test"])),
            .putItem(
                ItemID(.host, "a.test"), owner: .file,
                record: Array(#"{"domain":"a.test","respond":{},"ssl_mode":"custom","certificate":"own"}"#.utf8)))
        let list = fixture.ask("/api/v1/certificates", token).text
        let states = list.matches(of: /"status":"\w+","problem":[^}]*?"warning":[^,}]+/).map { String($0.0) }
        #expect(
            states == [
                #""status":"valid","problem":"is about to expire","warning":null"#,
                #""status":"valid","problem":null,"warning":"expires soon""#,
                #""status":"valid","problem":"is about to expire","warning":null"#,
                #""status":"valid","problem":null,"warning":null"#,
            ])
        // Clients that no other certificate serves must not be left with an expired one.
        let status = fixture.ask("/api/v1/status", token).text
        #expect(
            status.contains(
                #""has_problem":true,"gateways":0,"hosts":1,"certificates":4,"problem_count":1,"problems":"#
                    + #"[{"item":"certificate:soon","problem":"is about to expire"}]"#), "\(status)")
    }

    @Test("A host's answer has its settings and problems, but no values of upstream request headers")
    func hosts() throws {
        let record = #"""
            {"domain":"a.test","aliases":["b.test"],"upstreams":["http://127.0.0.1:1"],"ssl_mode":"custom",\#
            "certificate":"shop","headers":{"request":{"set":{"authorization":"Basic CANARY"}},\#
            "response":{"set":{"x-shown":"yes"}}}}
            """#
        try fixture.commit(
            .putItem(ItemID(.host, "a.test"), owner: .file, record: Array(record.utf8)),
            .putItem(ItemID(.host, "z.test"), owner: .api, record: Array(#"{"domain":"z.test"}"#.utf8)))
        var answer = fixture.ask("/api/v1/hosts/a.test", token)
        #expect(answer.status == 200)
        #expect(answer.text.hasPrefix(#"{"id":"a.test","owner":"file","problem":"certificate 'shop' is missing""#))
        #expect(answer.text.contains(#""ssl_cert_id":null"#))
        #expect(!answer.text.contains("CANARY"))
        #expect(answer.text.contains("(hidden)"))
        #expect(answer.text.contains(#""x-shown":"yes""#))
        try fixture.commit(.putCertificate(fixture.certificate("shop", domains: ["a.test", "b.test"])))
        answer = fixture.ask("/api/v1/hosts/a.test", token)
        #expect(
            answer.text.hasPrefix(
                #"{"id":"a.test","owner":"file","problem":null,"warning":null,"served_certificate":"shop""#))
        #expect(answer.text.contains(#""ssl_cert_id":1"#))
        #expect(try all("/api/v1/hosts", limit: 1) == ["a.test", "z.test"])
        for id in ["b.test", "A.test", "..", "a.test%2F"] {
            #expect(fixture.ask("/api/v1/hosts/\(id)", token).status != 200)
        }
    }

    @Test("Events are listed oldest first, after a given event, for one item or for all")
    func events() throws {
        let host = ItemID(.host, "a.test")
        for number in 0..<5 {
            let isLast = number == 4
            let event = AuditEvent(
                at: Int64(number), actor: "ops", action: "create",
                item: number % 2 == 0 ? host : ItemID(.certificate, "c"), failure: isLast ? "it \"broke\"" : nil,
                details: isLast ? ["b": "2", "a": "1"] : [:])
            try fixture.store.record(events: [event])
        }
        // The first event tells of the token.
        #expect(try all("/api/v1/events", limit: 2) == ["1", "2", "3", "4", "5", "6"])
        #expect(try all("/api/v1/events?after=3", limit: 2) == ["4", "5", "6"])
        #expect(try all("/api/v1/events?item=host:a.test", limit: 2) == ["2", "4", "6"])
        #expect(try all("/api/v1/events?item=certificate:c&after=3", limit: 2) == ["5"])
        let last = fixture.ask("/api/v1/events?after=5", token).text
        #expect(
            last == """
                {"items":[{"id":6,"at":"1970-01-01T00:00:04Z","actor":"ops","action":"create","item":"host:a.test",\
                "failure":"it \\"broke\\"","details":{"a":"1","b":"2"}}],"next":null}

                """)
        for query in ["item=a.test", "item=thing:a", "item=host:", "after=-1", "after=x"] {
            #expect(fixture.ask("/api/v1/events?\(query)", token).problem == "invalid", "\(query)")
        }
    }

    @Test("Generations are listed newest first")
    func generations() throws {
        for number in 1...3 {
            let generation = Generation(
                number: number, startedAt: Int64(number), who: "ops@here", fileName: "aegis.yaml",
                directory: "/etc/aegis",
                fileHash: "00", outcome: .complete, summary: "1 created")
            try fixture.commit(.putGeneration(generation, sealedText: Array("SEALED".utf8)))
        }
        let first = fixture.ask("/api/v1/generations?limit=2", token)
        #expect(first.text.matches(of: /"number":(\d)/).map { String($0.1) } == ["3", "2"])
        let second = fixture.ask("/api/v1/generations?limit=2&cursor=\(try #require(next(first)))", token)
        #expect(second.text.matches(of: /"number":(\d)/).map { String($0.1) } == ["1"])
        #expect(next(second) == nil)
    }

    @Test("A node's answer says whether it runs and whether it serves the newest revision")
    func nodes() throws {
        try fixture.commit(.putSetting(.sealingKeyID, [1]))
        for (id, age, revision) in [("a", Int64(1), 1), ("b", 100, 0)] {
            try fixture.store.report(
                GatewayNode(
                    id: id, machine: "m", process: 1, version: "1", startedAt: 0, heartbeatAt: fixture.now - age,
                    position: StatePosition(revision: revision, generation: 0), phase: .ready))
        }
        let text = fixture.ask("/api/v1/nodes", token).text
        #expect(text.matches(of: /"is_alive":(\w+)/).map { String($0.1) } == ["true", "false"])
        #expect(text.matches(of: /"is_up_to_date":(\w+)/).map { String($0.1) } == ["true", "false"])
    }

    @Test("Renewals are listed in the order of their due times")
    func renewals() throws {
        let host = { (name: String) in
            StateMutation.putItem(
                ItemID(.host, name), owner: .file,
                record: Array("{\"domain\":\"\(name)\",\"ssl_mode\":\"letsencrypt\"}".utf8))
        }
        try fixture.commit(host("a.test"), host("b.test"), host("c.test"))
        try fixture.commit(
            .putCertificate(fixture.certificate("a.test", days: 90, source: .letsencrypt)),
            .putCertificate(fixture.certificate("b.test", days: 30, source: .letsencrypt)))
        var progress = RenewalProgress(certificate: "c.test")
        progress.failures = 2
        progress.nextTryAt = fixture.now + 60
        progress.lastFailure = "the CA says no"
        try fixture.store.putRenewal(progress)
        var found: [String] = []
        var cursor = ""
        while found.count < 3 {
            let answer = fixture.ask("/api/v1/renewals?limit=1\(cursor)", token)
            #expect(answer.status == 200)
            found += answer.text.matches(of: /"certificate":"(\w)/).map { String($0.1) }
            cursor = next(answer).map { "&cursor=\($0)" } ?? ""
        }
        #expect(found == ["c", "b", "a"])
        #expect(cursor == "")
        let first = fixture.ask("/api/v1/renewals?limit=1", token).text
        #expect(
            first.contains(#""certificate_id":null,"renews_at":"\#(UTCTime.rfc3339(fixture.now + 60))","is_due":false"#)
        )
        #expect(first.contains(#""failures":2,"last_failure":"the CA says no""#))
        let one = fixture.ask("/api/v1/certificates/1", token).text
        #expect(one.contains(#""hosts":["a.test"],"served_names":[],"warnings":[],"renews_at":"2"#))
    }

    @Test("The status lists each kind of problem")
    func status() throws {
        func status() -> String { fixture.ask("/api/v1/status", token).text }
        #expect(
            status().contains(
                #""has_problem":false,"gateways":0,"hosts":0,"certificates":0,"problem_count":0,"problems":[]"#))
        try fixture.commit(
            .putItem(
                ItemID(.host, "a.test"), owner: .file,
                record: Array(#"{"domain":"a.test","ssl_mode":"custom","certificate":"shop"}"#.utf8)))
        try fixture.store.report(
            GatewayNode(
                id: "a", machine: "m", process: 1, version: "1", startedAt: 0, heartbeatAt: fixture.now - 100,
                phase: .ready))
        #expect(status().contains(#""has_problem":true"#))
        #expect(status().contains(#"{"item":"gateway:gateway","problem":"no gateway is running"}"#))
        #expect(status().contains(#"{"item":"host:a.test","problem":"certificate 'shop' is missing"}"#))
        #expect(status().contains(#""problem_count":2"#))
    }

    @Test("The status has identities and revocation lists, and what gateways report of them")
    func identities() throws {
        let (mesh, pod) = (ItemID(.identity, "mesh"), ItemID(.identity, "pod"))
        let host = #"{"domain":"a.test","client_auth":{"ca_file":"ca.pem","crl_files":["none.crl"]}}"#
        try fixture.commit(
            .putItem(
                mesh, owner: .file,
                record: Array(#"{"source":"file","cert_file":"none.crt","key_file":"none.key"}"#.utf8)),
            .putItem(pod, owner: .file, record: Array(#"{"source":"env","cert_env_var":"AEGIS_NO_SUCH"}"#.utf8)),
            .putItem(ItemID(.host, "a.test"), owner: .file, record: Array(host.utf8)))
        try fixture.store.report(
            GatewayNode(
                id: "a", machine: "m", process: 1, version: "1", startedAt: 0, heartbeatAt: fixture.now, phase: .ready,
                problems: 2, lastProblem: "bad pod", troubles: [.init("bad pod", item: pod), .init("something else")]))
        let text = fixture.ask("/api/v1/status", token).text
        for part in [
            #"{"name":"mesh","source":"file","state":"unusable","reason":"cert_file '"#,
            #"{"name":"pod","source":"env","state":"unusable","reason":"gateway 'm': bad pod""#,
            #"{"file":"none.crl","hosts":["a.test"],"overdue":[],"fault":"No such file or directory","is_problem":true}"#,
            #"{"item":"gateway:m","problem":"something else"}"#,
            #"{"item":"identity:pod","problem":"can't be used: gateway 'm': bad pod"}"#,
            #"{"item":"revocation_list:none.crl","problem":"#,
        ] { #expect(text.contains(part), "\(part)") }
        #expect(!text.contains(#"{"item":"gateway:m","problem":"bad pod"}"#))
        #expect(fixture.ask("/api/v1/nodes", token).text.contains(#""troubles":["bad pod","something else"]"#))
    }

    @Test("The OpenAPI document has each route with its parameters, and each schema that it refers to")
    func description() throws {
        let document = OpenAPIDocument.make(Routes.all, version: "1")
        let text = String(decoding: document.json(), as: UTF8.self)
        for route in Routes.all {
            let operation = document["paths"]?[route.path.text]?[route.method.lowercased()]
            #expect(operation?["operationId"] == .string(route.name))
            #expect(operation?["responses"]?["\(route.answer.status)"] != nil)
        }
        for match in text.matches(of: /#\/components\/schemas\/(\w+)/) {
            #expect(document["components"]?["schemas"]?[String(match.1)] != nil, "\(match.1)")
        }
        #expect(fixture.ask("/api/v1/openapi.json", token).text.hasPrefix(#"{"openapi":"3.1.0""#))
    }

    @Test("Without a local CA there is no trust bundle")
    func noBundle() {
        #expect(fixture.ask("/api/v1/settings/admin-trust-bundle", token).problem == "not-found")
    }
}
