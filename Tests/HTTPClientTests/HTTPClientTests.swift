import Dispatch
import HTTPClient
import PKI
import Synchronization
import Testing

@Suite struct HTTPClientTests {
    private let server: TestServer

    init() throws { server = try TestServer.shared.get() }

    @Test("A GET has the given fields and no others")
    func get() throws {
        let response = try server.client().send(
            HTTPRequest(.get, server.url("/echo?a=b"), fields: [HTTPField("X-Empty", ""), HTTPField("X-One", "1 2")]))
        #expect(response.status == 200 && response.value(of: "content-type") == "application/json")
        let echo = try Echo(response)
        #expect(echo.method == "GET" && echo.path == "/echo?a=b" && echo.body.isEmpty)
        let expected = [
            ["Host", "127.0.0.1:\(server.port)"], ["User-Agent", TestServer.userAgent], ["X-Empty", ""],
            ["X-One", "1 2"],
        ]
        #expect(Set(echo.fields) == Set(expected))
    }

    @Test("Bodies are sent with each method that has one", arguments: [HTTPMethod.post, .patch, .put, .delete])
    func bodies(_ method: HTTPMethod) throws {
        let text = String(repeating: "ä", count: 100_000)
        let fields = [HTTPField("Content-Type", "application/json")]
        for body in ["", text] {
            let echo = try Echo(
                server.client().send(HTTPRequest(method, server.url("/echo"), fields: fields, body: Array(body.utf8))))
            #expect(echo.method == method.rawValue && echo.body == body)
            #expect(echo.value(of: "content-type") == "application/json" && echo.value(of: "expect") == nil)
            #expect(echo.value(of: "content-length") == "\(body.utf8.count)")
        }
        let bare = try Echo(server.client().send(HTTPRequest(method, server.url("/echo"))))
        #expect(bare.method == method.rawValue && bare.body.isEmpty && bare.value(of: "content-type") == nil)
    }

    @Test("The answer to HEAD has fields and no body")
    func head() throws {
        let response = try server.client().send(HTTPRequest(.head, server.url("/echo")))
        #expect(response.status == 200 && response.body.isEmpty)
        #expect(response.value(of: "Content-Type") == "application/json")
        #expect(try server.requests().contains { $0.hasSuffix("HEAD /echo") })
    }

    @Test("Each status is an answer, not a failure", arguments: [201, 400, 404, 429, 503])
    func statuses(_ status: Int) throws {
        let response = try server.client().send(HTTPRequest(.get, server.url("/status?n=\(status)&body=why")))
        #expect(response.status == status && response.body == Array("why".utf8))
    }

    @Test("Repeated fields keep their order and are found in any case; interim answers and trailers are skipped")
    func fields() throws {
        let client = try server.client()
        let response = try client.send(HTTPRequest(.get, server.url("/repeated")))
        #expect(response.values(of: "LINK") == ["<a>", "<b>"] && response.value(of: "link") == "<a>")
        #expect(response.value(of: "empty") == "" && response.value(of: "absent") == nil)
        let late = try client.send(HTTPRequest(.get, server.url("/interim")))
        #expect(late.status == 200 && late.values(of: "Link") == ["<late>"])
        let chunked = try client.send(HTTPRequest(.get, server.url("/trailers")))
        #expect(chunked.body == Array("ok".utf8) && chunked.value(of: "Trailer-Field") == nil)
    }

    @Test("A connection is reused for the next call")
    func keepsConnections() throws {
        let client = try server.client()
        let connections = try (0..<6).map { index in
            let request = HTTPRequest(
                index % 2 == 0 ? .get : .post, server.url("/echo"), body: index % 2 == 0 ? nil : [65])
            return try Echo(client.send(request)).connection
        }
        #expect(Set(connections).count == 1)
    }

    @Test("Many threads may use one client at once")
    func manyThreads() throws {
        let client = try server.client()
        let bodies = Mutex<Set<String>>([])
        DispatchQueue.concurrentPerform(iterations: 40) { index in
            let request = HTTPRequest(.post, server.url("/echo"), body: Array("\(index)".utf8))
            guard let echo = try? Echo(client.send(request)) else { return }
            _ = bodies.withLock { $0.insert(echo.body) }
        }
        #expect(bodies.withLock { $0.count } == 40)
    }

    @Test("A body's limit holds with and without a declared length")
    func bodyLimit() throws {
        let client = try server.client(maximumBytes: 10_240)
        #expect(try client.send(HTTPRequest(.get, server.url("/large?n=10240"))).body.count == 10_240)
        for path in ["/large?n=10241", "/endless?n=100000"] {
            let failure = #expect(throws: HTTPFailure.self) { try client.send(HTTPRequest(.get, server.url(path))) }
            #expect(failure?.reason == "127.0.0.1:\(server.port): the answer is larger than 10240 bytes")
            #expect(failure?.mayHaveArrived == true)
        }
    }

    @Test("Too many or too large header fields end the transfer")
    func headerLimit() throws {
        let client = try server.client()
        #expect(try client.send(HTTPRequest(.get, server.url("/fields?n=190&value=x"))).fields.count == 191)
        for query in ["n=300&value=x", "n=50&value=\(String(repeating: "x", count: 2000))"] {
            let failure = #expect(throws: HTTPFailure.self) {
                try client.send(HTTPRequest(.get, server.url("/fields?\(query)")))
            }
            #expect(
                failure?.reason
                    == "127.0.0.1:\(server.port): the answer's header is larger than 65536 bytes or 200 lines")
        }
    }

    @Test("A name resolves to the address that the caller gave")
    func resolutions() throws {
        let url = "https://ca.test:\(server.port)/echo"
        let echo = try Echo(server.client().send(HTTPRequest(.get, url)))
        #expect(echo.value(of: "host") == "ca.test:\(server.port)")
    }
}
