import Gateway
import State
import Testing

@testable import AdminAPI

/// What holds for each change.
@Suite struct ChangeTests {
    private let fixture: APIFixture
    private let token: String

    init() throws {
        fixture = try APIFixture()
        token = try fixture.token("writer", .write)
    }

    private static let host = #"{"domain":"a.test","respond":{}}"#

    private func post(_ body: String = host, fields: [(String, String)] = [], token: String? = nil) -> AdminResponse {
        fixture.ask("/api/v1/hosts", token ?? self.token, method: "POST", fields: fields, body: body)
    }

    @Test("A request repeated with its idempotency key runs once and gets the same answer")
    func repetition() throws {
        let key = [("idempotency-key", "one")]
        let first = post(fields: key)
        let revision = try fixture.store.revision()
        let second = post(fields: key)
        #expect(first.status == 201 && second.status == 201 && first.body == second.body)
        #expect(first["Aegis-Revision"] == second["Aegis-Revision"] && first["Location"] == second["Location"])
        #expect(try fixture.store.revision() == revision)
        // A request without the key, or with another key, is a new request.
        #expect(post().problem == "name-taken")
        #expect(post(fields: [("idempotency-key", "two")]).problem == "name-taken")
        #expect(post(#"{"domain":"b.test","respond":{}}"#, fields: key).problem == "key-reused")
        // Idempotency keys are per token.
        let other = try fixture.token("other", .write)
        #expect(post(fields: key, token: other).problem == "name-taken")
        // A refused request is not remembered.
        let late = [("idempotency-key", "late")]
        #expect(post(fields: late).problem == "name-taken")
        let path = "/api/v1/hosts/a.test"
        let gone = fixture.ask(path, token, method: "DELETE", fields: [("idempotency-key", "gone")])
        #expect(gone.status == 204)
        #expect(fixture.ask(path, token, method: "DELETE", fields: [("idempotency-key", "gone")]).status == 204)
        #expect(post(fields: late).status == 201)
        fixture.now += RememberedAnswer.seconds + 1
        #expect(post(fields: key).problem == "name-taken")
    }

    @Test("A remembered answer keeps the certificate's number, even after the certificate is deleted")
    func rememberedNumber() throws {
        let body = try Issued(names: ["a.test"], now: fixture.now).body
        func create() -> AdminResponse {
            fixture.ask(
                "/api/v1/certificates", token, method: "POST", fields: [("idempotency-key", "k")], body: body)
        }
        #expect(create().text.contains(#""id":1"#))
        #expect(fixture.ask("/api/v1/certificates/1?force=true", token, method: "DELETE").status == 204)
        #expect(create().text.contains(#""id":1"#))
        #expect(try fixture.store.certificates(CertificateQuery()).isEmpty)
    }

    @Test("The oldest remembered answers are deleted when there are too many")
    func bounds() throws {
        for number in 0..<3 {
            let answer = RememberedAnswer(
                actor: "token:x", key: "\(number)", request: [], status: 201, item: ItemID(.host, "a"),
                at: fixture.now + Int64(number))
            try fixture.commit(.rememberAnswer(answer))
        }
        #expect(try fixture.store.rememberedAnswer(to: "0", of: "token:x", since: 0) != nil)
        let late = RememberedAnswer(
            actor: "token:x", key: "late", request: [], status: 201, item: ItemID(.host, "a"),
            at: fixture.now + RememberedAnswer.seconds + 1)
        try fixture.commit(.rememberAnswer(late))
        #expect(try fixture.store.rememberedAnswer(to: "0", of: "token:x", since: 0) == nil)
        #expect(try fixture.store.rememberedAnswer(to: "1", of: "token:x", since: 0) != nil)
    }

    @Test("An idempotency key is one short word", arguments: ["", "a b", "ä", String(repeating: "x", count: 256)])
    func badKeys(_ key: String) {
        #expect(post(fields: [("idempotency-key", key)]).problem == "invalid")
    }

    @Test("If-Match refuses a change of an item that the client has not seen in its present form")
    func tags() throws {
        #expect(post().status == 201)
        let path = "/api/v1/hosts/a.test"
        let tag = try #require(fixture.ask(path, token)["ETag"])
        func patch(_ body: String, _ tag: String) -> AdminResponse {
            fixture.ask(path, token, method: "PATCH", fields: [("if-match", tag)], body: body)
        }
        #expect(patch(#"{"enabled":false}"#, "\"other\"").problem == "stale")
        #expect(patch(#"{"enabled":false}"#, "\"other\", \(tag)").status == 200)
        #expect(patch(#"{"enabled":true}"#, tag).problem == "stale")
        #expect(fixture.ask(path, token, method: "DELETE", fields: [("if-match", tag)]).problem == "stale")
        #expect(patch(#"{"enabled":true}"#, "*").status == 200)
        #expect(patch("{}", "W/\(tag)").status == 412)
        #expect(fixture.ask(path, token, method: "DELETE", fields: [("if-match", tag)]).status == 204)
    }

    @Test("While an apply runs, changes are refused but reads are answered")
    func locked() throws {
        fixture.isLocked.withLock { $0 = true }
        let answer = post()
        #expect(answer.status == 503 && answer.problem == "locked" && answer["Retry-After"] == "10")
        #expect(fixture.ask("/api/v1/hosts", token).status == 200)
        fixture.isLocked.withLock { $0 = false }
        #expect(post().status == 201)
    }

    @Test("A body must be JSON, and its Content-Type must say so")
    func bodies() {
        for type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""] {
            #expect(post(fields: [("content-type", type)]).problem == "unsupported-type", "\(type)")
        }
        #expect(fixture.ask("/api/v1/hosts", token, method: "POST").problem == "unsupported-type")
        #expect(post("{").text.contains("at byte 1"))
        #expect(post(fields: [("content-type", "application/json; charset=utf-8")]).status == 201)
        let path = "/api/v1/hosts/a.test"
        let merge = [("content-type", "application/merge-patch+json")]
        #expect(fixture.ask(path, token, method: "PATCH", fields: merge, body: "{}").status == 200)
        #expect(fixture.ask(path, token, method: "DELETE", body: #"{"a":1}"#).problem == "invalid")
        #expect(fixture.ask(path, token, method: "DELETE", body: "{}").status == 204)
    }

    @Test("Only a token with scope write can change anything")
    func access() throws {
        let reader = try fixture.token("reader")
        for (method, path) in [
            ("POST", "/api/v1/hosts"), ("PATCH", "/api/v1/hosts/a.test"), ("DELETE", "/api/v1/hosts/a.test"),
            ("POST", "/api/v1/certificates"), ("DELETE", "/api/v1/certificates/1"),
            ("POST", "/api/v1/certificates/1/renew"),
        ] {
            #expect(fixture.ask(path, method: method, body: Self.host).status == 401)
            #expect(fixture.ask(path, reader, method: method, body: Self.host).problem == "insufficient-scope")
            let readOnly = fixture.ask(path, token, method: method, mayChange: false, body: Self.host)
            #expect(readOnly.problem == "read-only")
            let page = [("origin", "https://127.0.0.1:8443")]
            #expect(fixture.ask(path, token, method: method, fields: page, body: Self.host).problem == "foreign-origin")
        }
        #expect(try fixture.store.hosts(after: nil, limit: 1).isEmpty)
    }

    @Test("Each change's event has its own name, which begins with the action")
    func names() {
        let changes = Routes.all.filter { $0.scope == .write }
        #expect(Set(Routes.all.map(\.name)).count == Routes.all.count)
        #expect(Routes.all.allSatisfy { $0.scope == .write || $0.method == "GET" || $0.name == "planFile" })
        #expect(
            Set(changes.map { String($0.name.prefix { $0.isLowercase }) })
                == ["create", "change", "delete", "renew", "revoke", "order"])
    }
}
