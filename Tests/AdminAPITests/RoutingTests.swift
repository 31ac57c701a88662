import Testing

@testable import AdminAPI

@Suite struct RoutingTests {
    @Test("A path in its normal form is split into segments")
    func normalPaths() throws {
        let path = try #require(RequestPath("/api/v1/hosts/*.example.com?limit=5&domain=a%20b+c&flag"))
        #expect(path.segments == ["api", "v1", "hosts", "*.example.com"])
        #expect(path.parameters.map(\.name) == ["limit", "domain", "flag"])
        #expect(path.parameters.map(\.value) == ["5", "a b+c", ""])
        #expect(RequestPath("/api/v1/hosts/%C3%A4")?.segments.last == "ä")
        #expect(RequestPath("/api?")?.parameters.isEmpty == true)
    }

    @Test(
        "A path in another form is refused",
        arguments: [
            "", "api", "//api/v1", "/api//v1", "/api/v1/", "/api/./v1", "/api/v1/..", "/api/../healthz", "/api/%76%31",
            "/api/v1/%2e%2e", "/api/v1/a%2Fb", "/api/v1/a%5cb", "/api/v1/%", "/api/v1/%4", "/api/v1/%zz", "/api/v1/%FF",
            "/api/v1/a%00", "/api/v1/a%0A", "/api?a=%", "/api?a=%FF", "/api?%0d=1", "http://x/api", "*",
        ])
    func otherPaths(_ target: String) { #expect(RequestPath(target) == nil) }

    @Test("A matching pattern yields the values of its parameters")
    func patterns() {
        let pattern: PathPattern = "/api/v1/certificates/{id}/chain.pem"
        #expect(pattern.match(["api", "v1", "certificates", "7", "chain.pem"]) == ["id": "7"])
        #expect(pattern.match(["api", "v1", "certificates", "7"]) == nil)
        #expect(pattern.match(["api", "v1", "certificates", "7", "chain.der"]) == nil)
        #expect(pattern.parameters == ["id"])
    }

    @Test("No two routes have the same path and method, or the same name")
    func routesAreDistinct() {
        let routes = Routes.all
        #expect(Set(routes.map { "\($0.method) \($0.path.text)" }).count == routes.count)
        #expect(Set(routes.map(\.name)).count == routes.count)
        for route in routes { #expect(route.path.text.hasPrefix("/api/v1/")) }
    }

    private static let known: [QueryParameter] =
        [
            .word("source", "", ["custom", "local_ca"]), .time("expires_before", ""),
        ] + QueryParameter.page()

    @Test("Query parameters are read by their kinds")
    func queries() throws {
        let query = try Query(
            [
                ("source", "custom"), ("expires_before", "2026-11-22T16:00:00Z"), ("limit", "7"),
                ("cursor", Cursor("12").text),
            ], Self.known)
        #expect(query.text("source") == "custom")
        #expect(query.integer("expires_before") == 1_795_363_200)
        #expect(query.limit == 7)
        #expect(query.cursor == Cursor("12"))
        #expect(try Query([], Self.known).limit == 100)
    }

    @Test(
        "Each fault of a query is reported",
        arguments: [
            ("source", "all", "must be one of custom, local_ca"),
            ("expires_before", "tomorrow", "must be a time such as"),
            ("limit", "0", "must be a number from 1 to 1000"), ("limit", "1001", "must be a number from"),
            ("limit", "+7", "must be a number"), ("limit", "007", "must be a number"),
            ("limit", "", "must be a number"),
            ("cursor", "!", "must be the value of 'next'"),
            ("cursor", Cursor("a", "b").text, "must be the value of 'next'"),
            ("lmit", "7", "did you mean 'limit'?"), ("x", "", "there are: cursor, expires_before, limit, source"),
        ])
    func faults(_ name: String, _ value: String, _ text: String) {
        let problem = #expect(throws: Problem.self) { try Query([(name, value)], Self.known) }
        #expect(problem?.kind == .invalid)
        #expect(problem?.errors.count == 1)
        #expect(problem?.errors.first?.detail.contains(text) == true, "\(String(describing: problem?.errors))")
    }

    @Test("A repeated parameter is refused, and the error does not quote odd names")
    func strangeQueries() {
        let twice = #expect(throws: Problem.self) { try Query([("limit", "1"), ("limit", "1")], Self.known) }
        #expect(twice?.errors.first?.detail == "must come once")
        let strange = #expect(throws: Problem.self) { try Query([("<script>\u{e9}", "")], Self.known) }
        guard case .parameter(let name)? = strange?.errors.first?.place else { return #expect(Bool(false)) }
        #expect(name == "?")
    }

    @Test("A cursor is read back as the values it was made from")
    func cursors() {
        for cursor in [Cursor("1"), Cursor("17", "a.example.com"), Cursor("")] {
            #expect(Cursor(cursor.text, parts: cursor.parts.count) == cursor)
            #expect(Cursor(cursor.text, parts: cursor.parts.count + 1) == nil)
        }
        #expect(Cursor(String(repeating: "A", count: 4000), parts: 1) == nil)
    }
}
