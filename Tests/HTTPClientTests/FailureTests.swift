import Foundation
import HTTPClient
import PKI
import Synchronization
import TestSupport
import Testing

@Suite struct FailureTests {
    private let server: TestServer
    private var place: String { "127.0.0.1:\(server.port)" }

    init() throws { server = try TestServer.shared.get() }

    private func failure(_ client: HTTPClient, _ url: String, _ method: HTTPMethod = .get) -> HTTPFailure? {
        #expect(throws: HTTPFailure.self) {
            try client.send(HTTPRequest(method, url, body: method == .post ? [65] : nil))
        }
    }

    @Test("After a refused connection, the request has certainly not arrived")
    func refused() throws {
        let failure = failure(try server.client(), "https://127.0.0.1:1/secret?token=1")
        #expect(failure == HTTPFailure("127.0.0.1:1: connection refused", mayHaveArrived: false))
    }

    @Test("An unknown host name is reported")
    func unresolvable() throws {
        // A label is too long, so no name server is asked.
        let host = String(repeating: "a", count: 64) + ".test"
        let failure = failure(try server.client(), "https://\(host)/")
        #expect(failure == HTTPFailure("\(host): the host can't be resolved", mayHaveArrived: false))
    }

    @Test("A silent server causes a timeout; only after TLS may the request have arrived")
    func silence() throws {
        let client = try server.client(timeout: .seconds(1), plainHTTP: .thisMachine)
        let mute = "127.0.0.1:\(server.mutePort)"
        let late = failure(client, "http://\(mute)/")
        #expect(late?.mayHaveArrived == true)
        #expect(late?.reason.hasPrefix("\(mute): no answer in time: ") == true)
        let early = failure(client, "https://\(mute)/")
        #expect(early?.mayHaveArrived == false)
        #expect(early?.reason.hasPrefix("\(mute): no connection in time: ") == true)
    }

    @Test(
        "If a connection is dropped after the request was read, the request may have arrived", arguments: [true, false])
    func dropped(isPost: Bool) throws {
        let failure = failure(try server.client(), server.url("/drop"), isPost ? .post : .get)
        let reason = "\(place): the connection was closed without an answer"
        #expect(failure == HTTPFailure(reason, mayHaveArrived: true))
    }

    @Test(
        "A request lost on a kept connection is repeated only if that does no harm",
        arguments: [HTTPMethod.post, .patch])
    func notRepeated(_ method: HTTPMethod) throws {
        for body in [nil, [65]] as [[UInt8]?] {
            let server = try TestServer()
            let client = try server.client()
            _ = try client.send(HTTPRequest(.get, server.url("/echo")))
            let failure = #expect(throws: HTTPFailure.self) {
                try client.send(HTTPRequest(method, server.url("/drop"), body: body))
            }
            #expect(failure?.mayHaveArrived == true)
            #expect(try server.requests().filter { $0.hasSuffix("\(method.rawValue) /drop") }.count == 1)
        }
    }

    @Test("A server of an untrusted CA receives no request")
    func wrongAuthority() throws {
        let server = try TestServer()
        let place = "127.0.0.1:\(server.port)"
        let other = try TestServer()
        let stranger = failure(try other.client(), server.url("/echo"))
        #expect(stranger?.mayHaveArrived == false)
        #expect(
            stranger?.description == """
                \(place): TLS verification failed: SSL certificate problem: unable to get local issuer certificate \
                (it was not issued by a CA of ca_file)
                """)
        let system = failure(try HTTPClient(userAgent: "x"), server.url("/echo"))
        #expect(system?.hint == "a CA that the system does not trust is named by ca_file")
        #expect(try server.requests() == ["3 GET /requests"])
    }

    @Test("A certificate for another name, or expired, or not valid yet, is refused")
    func wrongNameAndTime() throws {
        let named = failure(try server.client(), "https://other.test:\(server.port)/echo")
        #expect(named?.mayHaveArrived == false && named?.hint == nil)
        #expect(
            named?.reason == """
                other.test:\(server.port): TLS verification failed: SSL: no alternative certificate subject name \
                matches target host name 'other.test'
                """)
        let old = try TestServer(now: Int64(Date().timeIntervalSince1970) - 3 * 86400)
        let expired = failure(try old.client(), old.url("/echo"))
        #expect(expired?.reason.hasSuffix("SSL certificate problem: certificate has expired") == true)
    }

    @Test("An unusable CA file is reported at once")
    func badTrust() throws {
        let folder = try TemporaryFolder()
        func failure(_ path: String) -> String? {
            #expect(throws: HTTPFailure.self) { try HTTPClient(trust: .authoritiesFile(path), userAgent: "x") }?.reason
        }
        let missing = folder.path("missing.pem")
        #expect(failure(missing) == "can't read the CA certificates in '\(missing)': No such file or directory")
        let empty = try folder.file("empty.pem", "nothing\n")
        #expect(failure(empty) == "no CA certificates to trust in '\(empty)': expected PEM")
        let broken = try folder.file("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        let client = try HTTPClient(trust: .authoritiesFile(broken), userAgent: "x")
        let said = self.failure(client, server.url("/echo"))
        #expect(said?.mayHaveArrived == false)
        #expect(said?.reason.hasPrefix("\(place): the trusted certificates can't be read: ") == true)
    }

    @Test(
        "Only https URLs without user name and password are accepted",
        arguments: [
            ("http://127.0.0.1/", "bad URL: http is not encrypted: https is needed"),
            ("ftp://127.0.0.1/", "bad URL: its scheme is not https"),
            ("file:///etc/passwd", "bad URL: its scheme is not https"),
            ("gopherish://127.0.0.1/", "bad URL: its scheme is not https"),
            ("https://user:pass@127.0.0.1/", "bad URL: it has a user name or password"),
            ("https:///", "bad URL: it is malformed"),
            ("127.0.0.1/", "bad URL: it is malformed"),
            ("https://127.0.0.1/\r\nX: y", "bad URL: it is malformed"),
            ("https://127.0.0.1/\0", "bad URL: it is malformed"),
        ])
    func badURLs(url: String, reason: String) throws {
        #expect(failure(try server.client(), url) == HTTPFailure(reason, mayHaveArrived: false))
    }

    @Test("A request that may not be sent does not reach the server, on new connections and on kept ones")
    func unsent() throws {
        let client = try server.client()
        for isKept in [false, true] {
            if isKept { _ = try client.send(HTTPRequest(.get, server.url("/echo"))) }
            var request = HTTPRequest(.post, server.url("/echo?unsent"), body: Array("text".utf8))
            request.mayBeSent = { false }
            let failure = #expect(throws: HTTPFailure.self) { try client.send(request) }
            #expect(failure?.mayHaveArrived == false)
            #expect(failure?.reason == "\(place): the request is not sent, since the program ends")
        }
        #expect(try !server.requests().contains { $0.contains("unsent") })
        var request = HTTPRequest(.post, server.url("/echo?sent"), body: Array("text".utf8))
        let asked = Mutex(0)
        request.mayBeSent = {
            asked.withLock { $0 += 1 }
            return true
        }
        #expect(try client.send(request).status == 200)
        #expect(asked.withLock { $0 } == 1)
    }
}
