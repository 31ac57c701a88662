import HTTPClient
import PKI
import Testing

@Suite struct RedirectTests {
    private let server: TestServer
    private let token = SecretField.bearer(SecretBytes(Array("canary".utf8)))

    init() throws { server = try TestServer.shared.get() }

    @Test("A redirect is followed only on request, and only for GET")
    func isAnswer() throws {
        let server = try TestServer()
        let response = try server.client().send(HTTPRequest(.get, server.url("/redirect?to=/echo")))
        #expect(response.status == 302 && response.value(of: "Location") == "/echo")
        let client = try server.client(followsRedirects: 5)
        let post = try client.send(HTTPRequest(.post, server.url("/redirect?to=/echo"), body: []))
        #expect(post.status == 302)
        #expect(try server.requests().count == 3)
    }

    @Test("The number of redirects is limited")
    func follows() throws {
        let url = server.url("/redirect?to=/redirect?to=/echo")
        #expect(try server.client(followsRedirects: 1).send(HTTPRequest(.get, url)).status == 302)
        let response = try server.client(followsRedirects: 2).send(HTTPRequest(.get, url, authorization: token))
        let echo = try Echo(response)
        #expect(echo.path == "/echo" && echo.value(of: "authorization") == "Bearer canary")
    }

    @Test("After a redirect to another host no credentials are sent, even back at the first host")
    func losesAuthorization() throws {
        let other = "https://ca.test:\(server.port)"
        let client = try server.client(followsRedirects: 3)
        for path in ["/redirect?to=\(other)/echo", "/redirect?to=\(other)/redirect?to=\(server.url("/echo"))"] {
            let echo = try Echo(client.send(HTTPRequest(.get, server.url(path), authorization: token)))
            #expect(echo.path == "/echo" && echo.value(of: "authorization") == nil)
        }
    }

    @Test("No redirect from https to http is followed, even if http is allowed")
    func staysEncrypted() throws {
        let plain = try TestServer(isPlain: true)
        let target = "http://127.0.0.1:\(plain.port)/echo"
        let client = try server.client(followsRedirects: 3, plainHTTP: .thisMachine)
        #expect(try Echo(client.send(HTTPRequest(.get, target))).method == "GET")
        let failure = #expect(throws: HTTPFailure.self) {
            try client.send(HTTPRequest(.get, server.url("/redirect?to=\(target)")))
        }
        let reason = "127.0.0.1:\(server.port): redirects to a bad URL: http is not encrypted: https is needed"
        #expect(failure == HTTPFailure(reason, mayHaveArrived: true))
        let upgraded = "http://127.0.0.1:\(plain.port)/redirect?to=\(server.url("/echo"))"
        #expect(try client.send(HTTPRequest(.get, upgraded)).status == 200)
    }
}

@Suite struct SecretTests {
    @Test("A secret field appears in no description, dump or failure")
    func hidden() throws {
        let server = try TestServer()
        for canary in ["canary", "canary\r\nX-Injected: yes", "canary\n"] {
            let field = SecretField.bearer(SecretBytes(Array(canary.utf8)))
            let request = HTTPRequest(.post, server.url("/echo"), authorization: field, body: [])
            var dumped = ""
            dump(request, to: &dumped)
            var shown = [dumped, "\(request)", String(reflecting: request), "\(field)", String(reflecting: field)]
            do {
                let echo = try Echo(server.client().send(request))
                #expect(canary == "canary" && echo.value(of: "authorization") == "Bearer canary")
            } catch {
                #expect(canary != "canary")
                shown += ["\(error)", String(reflecting: error)]
            }
            #expect(shown.allSatisfy { !$0.contains("canary") })
        }
        #expect(try server.requests().count == 2)
    }
}
