import HTTP1
import Testing

@Suite struct RequestHeadTests {
    @Test("Each part of a browser's request is found")
    func browser() throws {
        let text = """
            POST /a/b?c=d HTTP/1.1\r
            Host: App.Test.:8443\r
            user-agent: \t Mozilla/5.0 (X11) \t\r
            Cookie: a=1; b=2\r
            X_Odd:\r
            Content-Length: 12\r
            Expect: 100-continue\r
            \r

            """
        let head = try #require(readRequest(text).head)
        #expect(head.first == "POST" && head.path == "/a/b?c=d" && head.version == .http11)
        #expect(head.host == "App.Test" && head.port == 8443)
        #expect(head.fields.map(\.name) == ["Host", "user-agent", "Cookie", "X_Odd", "Content-Length", "Expect"])
        #expect(
            head.fields.map(\.value) == ["App.Test.:8443", "Mozilla/5.0 (X11)", "a=1; b=2", "", "12", "100-continue"])
        #expect(head.fields.map(\.id) == [.host, .userAgent, .cookie, .other, .contentLength, .expect])
        #expect(head.fields.map(\.hasUnderscore) == [false, false, false, true, false, false])
        #expect(head.framing == .length(12) && head.keepAlive && head.expectsContinue && head.upgrade == nil)
        #expect(head.hopByHop == [])
    }

    @Test("A reused head keeps nothing of the previous request")
    func reuse() {
        var head = RequestHead()
        let requests = [
            "POST http://a:1/x HTTP/1.1\r\nHost: a:1\r\nUpgrade: x\r\nConnection: upgrade, y\r\nY: 1\r\nExpect: "
                + "100-continue\r\nContent-Length: 5\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n", "BAD", "GET /a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: b\r\nY: 1\r\n\r\n",
            "PUT / HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n", "GET / HTTP/1.1\r\nHost: c\r\n\r\n",
        ]
        for text in requests + requests.reversed() {
            let bytes = text.latin1
            let fault = head.parse(bytes.span, limits: HeadLimits())
            var fresh = RequestHead()
            #expect(fresh.parse(bytes.span, limits: HeadLimits()) == fault)
            if fault == nil { #expect(ReadHead(head, bytes) == ReadHead(fresh, bytes)) }
        }
    }

    @Test("A prefix of a head, or a head with a byte behind it, is refused", arguments: HTTPSample.valid)
    func incomplete(_ sample: HTTPSample) {
        guard case .head(_, let headBytes) = readRequest(sample.octets) else { return }
        let bytes = Array(sample.octets[..<headBytes])
        var head = RequestHead()
        for count in 0..<headBytes {
            #expect(head.parse(bytes.span.extracting(first: count), limits: HeadLimits()) != nil)
        }
        #expect(head.parse((bytes + [0x61]).span, limits: HeadLimits()) == .incompleteHead)
    }

    @Test("The parser alone refuses all that the scanner refuses", arguments: 0...31)
    func controls(_ byte: UInt8) {
        guard byte != 9 else { return }
        var head = RequestHead()
        for place in [
            "G\0T / HTTP/1.1\r\n", "GET /\0 HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\nContent\0Length: 5\r\n",
        ]
            + ["GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n"]
        {
            let bytes = (place + "\r\n").latin1.map { $0 == 0 ? byte : $0 }
            #expect(head.parse(bytes.span, limits: HeadLimits()) != nil)
        }
    }

    @Test("A field name consists only of token characters", arguments: 0...255)
    func names(_ byte: UInt8) {
        let isLetterOrDigit =
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
        let isToken = isLetterOrDigit || "!#$%&'*+-.^_`|~".latin1.contains(byte)
        guard byte != 0x3A else { return }
        for count in [0, 1, 6, 7, 8, 14, 15, 16, 22, 30, 31, 32, 33, 40] {
            let letters = [UInt8](repeating: 0x7A, count: count)
            let head = "GET / HTTP/1.1\r\nHost: a\r\n".latin1
            for name in [letters + [byte], [byte] + letters, letters + [byte] + letters] {
                let reading = readRequest(head + name + ":1\r\n\r\n".latin1)
                #expect((reading.head != nil) == isToken)
                #expect((reading.head?.fields.last?.hasUnderscore ?? false) == (byte == 0x5F))
            }
        }
    }

    @Test(
        "Bytes that no URI may contain are percent-encoded, others unchanged (RFC 3986 section 3.3)", arguments: 0...255
    )
    func targets(_ byte: UInt8) {
        let isPlain = (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
        let goesOn = isPlain || "-._~!$&'()*+,;=:@/[]?".latin1.contains(byte)
        let isRefused = byte <= 0x20 || byte == 0x7F || byte == 0x23
        let digits = String(byte, radix: 16, uppercase: true)
        let encoded = goesOn ? String(latin1: [byte]) : "%" + (byte < 16 ? "0" : "") + digits
        for (before, after) in [
            ("/", ""), ("/a", "b"), ("/?", ""), ("/a?b=%", "c"), ("http://a/", ""), ("http://a?", "?"),
        ] {
            let target = before.latin1 + [byte] + after.latin1
            let bytes = "GET ".latin1 + target + " HTTP/1.1\r\nHost: a\r\n\r\n".latin1
            let head = readRequest(bytes).head
            if byte == 0x25 {
                #expect((head?.path == nil) == !before.contains("?"))
            } else if isRefused {
                #expect(head == nil)
            } else {
                let path = before.replacing("http://a", with: "")
                #expect(head?.path == (path.hasPrefix("?") ? "/" : "") + path + encoded + after)
            }
        }
    }

    @Test("Only a target with bytes that no URI may contain needs encoding")
    func needsEncoding() {
        var head = RequestHead()
        for (target, needs) in [("/a[1]?b[2]=%&c?", false), ("/{a}", true), ("/", false), ("/?^", true), ("*", false)] {
            let bytes = "OPTIONS \(target) HTTP/1.1\r\nHost: a\r\n\r\n".latin1
            #expect(head.parse(bytes.span, limits: HeadLimits()) == nil)
            #expect(head.target.needsEncoding == needs)
            #expect(bytes.text(head.target.text) == target)
        }
    }

    struct Persistence: CustomTestStringConvertible, Sendable {
        let version: String
        let connection: String
        let keepsAlive: Bool
        var testDescription: String { "\(version) \(connection)" }
    }

    @Test(
        "Version and Connection decide whether the connection is kept",
        arguments: [
            Persistence(version: "1.1", connection: "", keepsAlive: true),
            Persistence(version: "1.1", connection: "Connection: close\r\n", keepsAlive: false),
            Persistence(version: "1.1", connection: "connection: Foo , CLOSE\r\n", keepsAlive: false),
            Persistence(
                version: "1.1", connection: "Connection: keep-alive\r\nConnection: close\r\n", keepsAlive: false),
            Persistence(version: "1.1", connection: "Connection: closed\r\n", keepsAlive: true),
            Persistence(version: "1.1", connection: "Proxy-Connection: close\r\n", keepsAlive: true),
            Persistence(version: "1.0", connection: "", keepsAlive: false),
            Persistence(version: "1.0", connection: "Connection: Keep-Alive\r\n", keepsAlive: true),
            Persistence(version: "1.0", connection: "Connection: keep-alive, close\r\n", keepsAlive: false),
            Persistence(version: "1.0", connection: "Keep-Alive: 5\r\n", keepsAlive: false),
        ])
    func persistence(_ sample: Persistence) throws {
        let text = "GET / HTTP/\(sample.version)\r\nHost: a\r\n\(sample.connection)\r\n"
        #expect(try #require(readRequest(text).head).keepAlive == sample.keepsAlive)
    }

    @Test("An upgrade needs Connection, exactly one Upgrade, and HTTP/1.1")
    func upgrade() {
        func upgrade(_ fields: String, version: String = "1.1") -> String? {
            readRequest("GET / HTTP/\(version)\r\nHost: a\r\n\(fields)\r\n").head?.upgrade
        }
        #expect(upgrade("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n") == "websocket")
        #expect(upgrade("Upgrade: WebSocket, x/1\r\nconnection: upgrade\r\n") == "WebSocket, x/1")
        #expect(upgrade("Upgrade: websocket\r\n") == nil)
        #expect(upgrade("Connection: upgrade\r\n") == nil)
        #expect(upgrade("Connection: upgrade\r\nUpgrade:\r\n") == nil)
        #expect(upgrade("Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n") == nil)
        #expect(upgrade("Connection: upgrade\r\nUpgrade: websocket\r\n", version: "1.0") == nil)
    }

    @Test("Connection removes hop-by-hop and unknown fields, never a field that the server relies on")
    func hopByHop() throws {
        let fields = """
            Connection: x-own, X-FORWARDED-FOR, X-Forwarded-User, X-Real-IP, Forwarded, X-Request-ID, Cookie\r
            Connection: Host,Authorization,Content-Length,Content-Type,Date,close, x-absent\r
            X-Own: 1\r
            x-OWN: 2\r
            X-Own-Not: 3\r
            X-Forwarded-For: 1\r
            X-Forwarded-User: 1\r
            X-Real-IP: 1\r
            Forwarded: for=a\r
            X-Request-ID: 1\r
            Cookie: a\r
            Authorization: a\r
            Content-Length: 0\r
            Content-Type: a/b\r
            Keep-Alive: 5\r
            Proxy-Connection: close\r
            Proxy-Authorization: a\r
            TE: trailers\r
            Trailer: X\r
            Upgrade: h2c\r
            HTTP2-Settings: a\r

            """
        let head = try #require(readRequest("GET / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n").head)
        #expect(
            head.hopByHop == [
                "Connection", "Connection", "X-Own", "x-OWN", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization",
                "TE", "Trailer", "Upgrade", "HTTP2-Settings",
            ])
    }

    @Test("Expect: 100-continue counts only in HTTP/1.1 with a body")
    func expectation() {
        func expects(_ fields: String, version: String = "1.1") -> Bool? {
            readRequest("POST / HTTP/\(version)\r\nHost: a\r\nExpect: 100-Continue\r\n\(fields)\r\n").head?
                .expectsContinue
        }
        #expect(expects("Content-Length: 1\r\n") == true)
        #expect(expects("Transfer-Encoding: chunked\r\n") == true)
        #expect(expects("Content-Length: 1\r\nExpect: , 100-continue,\r\n") == true)
        #expect(expects("Content-Length: 1\r\nExpect: 100-continue, x\r\n") == nil)
        #expect(
            readRequest("PUT / HTTP/1.1\r\nHost: a\r\nExpect:\r\nContent-Length: 1\r\n\r\n").head?.expectsContinue
                == false)
        #expect(expects("Content-Length: 0\r\n") == false)
        #expect(expects("") == false)
        #expect(expects("Content-Length: 1\r\n", version: "1.0") == false)
    }

    @Test("Fields and cookies are limited in number together, Connection options and the target by themselves")
    func limits() {
        func read(_ line: String, _ fields: String, _ limits: HeadLimits) -> HeadFault? {
            readRequest("\(line) HTTP/1.1\r\nHost: a\r\n\(fields)\r\n", limits).fault
        }
        let four = HeadLimits(maxFields: 4)
        #expect(read("GET /", "A: 1\r\nB: 1\r\nC: 1\r\n", four) == nil)
        #expect(read("GET /", "A: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\n", four) == .tooManyFields)
        #expect(read("GET /", "Cookie: a; b; c\r\n", four) == nil)
        #expect(read("GET /", "Cookie: a; b; c; d\r\n", four) == .tooManyFields)
        #expect(read("GET /", "Cookie: a; b\r\nCookie: c; d\r\n", four) == .tooManyFields)
        #expect(read("GET /", "Set-Cookie: a; b; c; d; e\r\n", four) == nil)
        #expect(read("GET /", "Connection: a, b, c, d, e\r\n", four) == nil)
        // As many options as a client may need, but not so many that comparing them with all fields takes long.
        let options = (0...32).map { "o\($0)" }
        #expect(read("GET /", "Connection: \(options.dropLast().joined(separator: ","))\r\n", HeadLimits()) == nil)
        #expect(read("GET /", "Connection: \(options.joined(separator: ","))\r\n", HeadLimits()) == .tooManyFields)
        let ten = HeadLimits(maxTargetBytes: 10)
        #expect(read("GET /23456789?", "", ten) == nil)
        #expect(read("GET /23456789?x", "", ten) == .targetTooLong)
        #expect(HeadLimits(maxHeadBytes: .max).maxHeadBytes == HeadLimits.greatestHeadBytes)
        var head = RequestHead()
        let bytes = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".latin1
        #expect(head.parse(bytes.span, limits: HeadLimits(maxHeadBytes: 20)) == .headTooLarge)
    }

    @Test("Each fault has a status of the right class and a reason")
    func faults() {
        #expect(Set(HeadFault.allCases.map(\.status)) == [400, 414, 417, 431, 501, 502, 505])
        #expect(Set(HeadFault.allCases.map { "\($0.reason)" }).count == HeadFault.allCases.count)
        #expect(Set(BodyFault.allCases.map { "\($0.reason)" }).count == BodyFault.allCases.count)
    }
}
