import Gateway
import State
import Testing

@testable import AdminAPI

/// Who gets an answer, and how answers are.
@Suite struct AdminAPITests {
    private let fixture: APIFixture
    private let read: String
    private let write: String

    init() throws {
        fixture = try APIFixture()
        read = try fixture.token("reader")
        write = try fixture.token("writer", .write)
    }

    @Test("Without a token no answer reveals what exists")
    func noToken() {
        for target in ["/api", "/api/v1/hosts", "/api/v1/nothing", "/api/v1/hosts?x=1"] {
            let answer = fixture.ask(target)
            #expect(answer.status == 401)
            #expect(answer.problem == "unauthorized")
            #expect(answer["WWW-Authenticate"] == "Bearer realm=\"aegis\"")
            #expect(answer.text.contains("\"request_id\":\"request-1\""))
        }
    }

    @Test("A token is accepted until it expires or is revoked")
    func lifeOfTokens() throws {
        let short = try fixture.token("short", expiresAt: fixture.now + 10)
        #expect(fixture.ask("/api/v1/hosts", short).status == 200)
        fixture.now += 10
        #expect(fixture.ask("/api/v1/hosts", short).problem == "unauthorized")
        #expect(fixture.ask("/api/v1/hosts", read).status == 200)
        let event = AuditEvent(at: 0, actor: "", action: "revoke-token", item: ItemID(single: .gateway))
        #expect(try fixture.store.deleteAccessToken(named: "reader", event: event))
        #expect(fixture.ask("/api/v1/hosts", read).status == 401)
        #expect(try !fixture.store.deleteAccessToken(named: "reader", event: event))
    }

    @Test("The last use of a token is recorded, at most once a minute")
    func lastUse() throws {
        func used() throws -> Int64? { try fixture.store.accessTokens().first { $0.name == "reader" }?.lastUsedAt }
        let start = fixture.now
        #expect(try used() == nil)
        _ = fixture.ask("/api/v1/hosts", read)
        #expect(try used() == start)
        fixture.now += 59
        _ = fixture.ask("/api/v1/hosts", read)
        #expect(try used() == start)
        fixture.now += 1
        _ = fixture.ask("/api/v1/hosts", read)
        #expect(try used() == start + 60)
    }

    @Test("After ten wrong tokens an address must wait with the next wrong one; good tokens always work")
    func tooManyTries() {
        for _ in 0..<10 { #expect(fixture.ask("/api/v1/hosts", "aegis_wrong").status == 401) }
        let answer = fixture.ask("/api/v1/hosts", "aegis_wrong")
        #expect(answer.status == 429)
        #expect(answer["Retry-After"] == "60")
        #expect(fixture.ask("/api/v1/hosts", "aegis_wrong", network: 2).status == 401)
        #expect(fixture.ask("/api/v1/hosts").status == 401)
        #expect(fixture.ask("/api/v1/hosts", read).status == 200)
        fixture.now += 60
        #expect(fixture.ask("/api/v1/hosts", "aegis_wrong").status == 401)
    }

    @Test("A change needs a token with scope write, the API's own origin, and api: write")
    func changes() {
        let path = "/api/v1/nodes"
        #expect(fixture.ask(path, read, method: "POST").problem == "insufficient-scope")
        #expect(fixture.ask(path, write, method: "POST").problem == "method-not-allowed")
        #expect(fixture.ask(path, write, method: "POST")["Allow"] == "GET, HEAD")
        #expect(fixture.ask("/api/v1/nothing", read, method: "DELETE").problem == "insufficient-scope")
        #expect(fixture.ask("/api/v1/nothing", write, method: "DELETE").problem == "not-found")
        #expect(fixture.ask(path, write, method: "POST", mayChange: false).problem == "read-only")
        #expect(fixture.ask(path, read, mayChange: false).status == 200)
        let foreign = [("origin", "https://evil.example")]
        #expect(fixture.ask(path, write, method: "POST", fields: foreign).problem == "foreign-origin")
        #expect(fixture.ask(path, method: "POST", fields: foreign).problem == "foreign-origin")
        #expect(fixture.ask(path, read, fields: foreign).status == 200)
        #expect(fixture.ask(path, read, method: "get").problem == "insufficient-scope")
        #expect(fixture.ask(path, read, method: "OPTIONS").problem == "method-not-allowed")
    }

    @Test("A client with a certificate needs no token, and its scope limits what it may do")
    func certificates() {
        func ask(_ mayChange: Bool, method: String = "GET") -> AdminResponse {
            fixture.api.answer(
                AdminRequest(
                    method: method, target: "/api/v1/hosts", fields: [("authorization", "Bearer wrong")],
                    holder: AdminRequest.Holder(name: "a.test", mayChange: mayChange)))
        }
        for _ in 0..<20 { #expect(ask(false).status == 200) }
        #expect(ask(false, method: "POST").problem == "insufficient-scope")
        #expect(ask(true, method: "POST").problem == "unsupported-type")
    }

    @Test("A path that is not in its normal form is refused before anything else")
    func paths() {
        for target in ["/api//v1/hosts", "/api/v1/../v1/hosts", "/api/v1/%68osts"] {
            #expect(fixture.ask(target).problem == "bad-path")
            #expect(fixture.ask(target, read).problem == "bad-path")
        }
        #expect(fixture.ask("/api/v1/hosts?limit=0", read).problem == "invalid")
        #expect(fixture.ask("/api/v1/hosts?limit=0", read).text.contains("\"parameter\":\"limit\""))
    }

    @Test("An answer has an ETag, and a client that sends it back gets 304")
    func tags() throws {
        let first = fixture.ask("/api/v1/hosts", read)
        let tag = try #require(first["ETag"])
        #expect(first["Content-Type"] == "application/json")
        #expect(first["Cache-Control"] == "no-store")
        for known in [tag, "*", "\"x\", \(tag)", "W/\(tag)"] {
            let second = fixture.ask("/api/v1/hosts", read, fields: [("if-none-match", known)])
            #expect(second.status == 304)
            #expect(second.body.isEmpty)
            #expect(second["ETag"] == tag)
            #expect(second["Content-Type"] == nil)
        }
        #expect(fixture.ask("/api/v1/hosts", read, fields: [("if-none-match", "\"x\"")]).status == 200)
        try fixture.commit(
            .putItem(ItemID(.host, "a.test"), owner: .file, record: Array("{\"domain\":\"a.test\"}".utf8)))
        #expect(fixture.ask("/api/v1/hosts", read, fields: [("if-none-match", tag)]).status == 200)
    }

    @Test("A stream of events has no ETag, and is never answered by 304")
    func streams() {
        for known in [[], [("if-none-match", "*")]] {
            let answer = fixture.ask("/api/v1/events/stream", read, fields: known)
            #expect(answer.status == 200 && answer["ETag"] == nil && answer.stream != nil)
        }
    }

    @Test("HEAD gets the same fields as GET")
    func head() {
        let (get, head) = (fixture.ask("/api/v1/nodes", read), fixture.ask("/api/v1/nodes", read, method: "HEAD"))
        #expect(head.status == 200)
        #expect(head.body == get.body)
        #expect(head["ETag"] == get["ETag"])
    }

    @Test("An error about a missing or unreadable state does not show its path")
    func noState() {
        fixture.fail(.unreadable(path: "/secret/place", reason: "page 7"))
        let damaged = fixture.ask("/api/v1/hosts", read)
        #expect(damaged.status == 503)
        #expect(damaged["Retry-After"] == "5")
        #expect(!damaged.text.contains("/secret/place"))
        fixture.fail(nil)
        #expect(fixture.ask("/api/v1/hosts", read).status == 200)
        fixture.removeState()
        #expect(fixture.ask("/api/v1/hosts", read).status == 503)
        #expect(fixture.ask("/api/v1/hosts").status == 401)
    }
}
