import HTTP1
import Testing

@Suite struct ResponseHeadTests {
    struct Framed: CustomTestStringConvertible, Sendable {
        let head: String
        var method = Method.get
        let framing: BodyFraming
        var keepsAlive = true
        var testDescription: String { "\(method) \(head)" }
    }

    @Test(
        "Where the body ends follows RFC 9112 section 6.3, however the head is cut",
        arguments: [
            Framed(head: "HTTP/1.1 200 OK\r\nContent-Length: 5", framing: .length(5)),
            Framed(head: "HTTP/1.1 200 OK\r\nContent-Length: 0", framing: .length(0)),
            Framed(head: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", framing: .chunked),
            Framed(head: "HTTP/1.1 200 OK\r\nX: y", framing: .untilClose, keepsAlive: false),
            Framed(head: "HTTP/1.0 200 OK\r\nX: y", framing: .untilClose, keepsAlive: false),
            Framed(head: "HTTP/1.0 200 OK\r\nContent-Length: 5", framing: .length(5), keepsAlive: false),
            Framed(head: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5", framing: .length(5)),
            Framed(head: "HTTP/1.0 200 OK\r\nConnection: keep-alive", framing: .untilClose, keepsAlive: false),
            Framed(
                head: "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 5", framing: .length(5),
                keepsAlive: false),
            Framed(head: "HTTP/1.1 200 OK\r\nContent-Length: 5", method: .head, framing: .none),
            Framed(head: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", method: .head, framing: .none),
            Framed(head: "HTTP/1.1 200 OK\r\nX: y", method: .head, framing: .none),
            Framed(head: "HTTP/1.1 404 No\r\nContent-Length: 5", method: .post, framing: .length(5)),
            Framed(head: "HTTP/1.1 204 No Content\r\nX: y", framing: .none),
            Framed(head: "HTTP/1.1 204 No Content\r\nContent-Length: 0", framing: .none),
            Framed(head: "HTTP/1.1 204 No Content\r\nContent-Length: 5", framing: .none, keepsAlive: false),
            Framed(head: "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked", framing: .none, keepsAlive: false),
            Framed(head: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5", framing: .none),
            Framed(head: "HTTP/1.1 304 Not Modified\r\nX: y", framing: .none),
            Framed(head: "HTTP/1.1 100 Continue\r\nX: y", framing: .none),
            Framed(head: "HTTP/1.1 103 Early Hints\r\nLink: </a>", framing: .none),
            Framed(head: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade", framing: .none),
            Framed(head: "HTTP/1.1 205 Reset\r\nContent-Length: 0", framing: .length(0)),
        ])
    func framing(_ sample: Framed) throws {
        let bytes = (sample.head + "\r\n\r\n").latin1
        let whole = readResponse(bytes, answering: sample.method)
        let head = try #require(whole.head)
        #expect(head.framing == sample.framing && head.keepAlive == sample.keepsAlive)
        for step in [1, 2, 3, 7] { #expect(readResponse(bytes, answering: sample.method, step: step) == whole) }
        for count in 0..<bytes.count { #expect(readResponse(Array(bytes[..<count])) == .incomplete) }
    }

    @Test("The status line is read with any reason or none")
    func statusLine() {
        func read(_ line: String) -> String? {
            readResponse("\(line)\r\n\r\n".latin1).head.map { "\($0.status)|\($0.first)" }
        }
        #expect(read("HTTP/1.1 200 OK") == "200|OK")
        #expect(read("HTTP/1.1 200 ") == "200|")
        #expect(read("HTTP/1.1 200") == "200|")
        #expect(read("HTTP/1.0 599 a b\tc\u{E9}") == "599|a b\tc\u{E9}")
        #expect(read("HTTP/1.1 100  x") == "100| x")
    }

    @Test(
        "What leaves a doubt about a response is refused",
        arguments: [
            "HTTP/1.1 099 x", "HTTP/1.1 600 x", "HTTP/1.1 999 x", "HTTP/1.1 20 x", "HTTP/1.1 2000 x", "HTTP/1.1 200x",
            "HTTP/1.1  200 x", "HTTP/1.1 +20 x", "HTTP/1.1 2 0 x", "HTTP/1.1\t200 x", "HTTP/1.1 200\tx", "HTTP/1.1",
            "HTTP/1.1 ", "HTTP/2.0 200 x", "HTTP/1.2 200 x", "HTTP/0.9 200 x", "http/1.1 200 x", " HTTP/1.1 200 x",
            "HTTP/1.1 200 a\0b", "HTTP/1.1 200 a\rb", "HTTP/1.1 200 a\nb", "200 OK", "ICY 200 OK", "X: y",
            "HTTP/1.1 200 x\r\nContent-Length: 5\r\nContent-Length: 5",
            "HTTP/1.1 200 x\r\nContent-Length: 5\r\nContent-Length: 6", "HTTP/1.1 200 x\r\nContent-Length: 5, 5",
            "HTTP/1.1 200 x\r\nContent-Length:", "HTTP/1.1 200 x\r\nContent-Length: +5",
            "HTTP/1.1 200 x\r\nContent-Length: -1", "HTTP/1.1 200 x\r\nContent-Length: 18446744073709551616",
            "HTTP/1.1 200 x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
            "HTTP/1.1 204 x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
            "HTTP/1.0 200 x\r\nTransfer-Encoding: chunked", "HTTP/1.1 200 x\r\nTransfer-Encoding: gzip",
            "HTTP/1.1 200 x\r\nTransfer-Encoding: gzip, chunked", "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked, gzip",
            "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked, chunked", "HTTP/1.1 200 x\r\nTransfer-Encoding: identity",
            "HTTP/1.1 200 x\r\nTransfer-Encoding:", "HTTP/1.1 200 x\r\nX : y", "HTTP/1.1 200 x\r\n: y",
            "HTTP/1.1 200 x\r\nX: y\r\n z", "HTTP/1.1 200 x\r\n X: y", "HTTP/1.1 200 x\r\nX",
            "HTTP/1.1 200 x\r\nConnection: a b",
        ])
    func refused(_ text: String) {
        let bytes = "\(text)\r\n\r\n".latin1
        let whole = readResponse(bytes)
        #expect(whole.fault != nil)
        for step in [1, 2, 5] { #expect(readResponse(bytes, step: step) == whole) }
    }

    @Test("Interim answers and a change of protocol are told apart")
    func interim() {
        for (status, isInterim) in [(100, true), (101, false), (102, true), (103, true), (199, true), (200, false)] {
            var head = ResponseHead()
            let bytes = "HTTP/1.1 \(status) x\r\n\r\n".latin1
            #expect(head.parse(bytes.span, answering: .get, limits: HeadLimits()) == nil)
            #expect(head.isInterim == isInterim && head.isSwitchingProtocols == (status == 101))
        }
    }

    @Test("Connection removes unknown fields of a response, never known ones")
    func hopByHop() throws {
        let text = "HTTP/1.1 200 OK\r\nConnection: X-A, Set-Cookie, Content-Type\r\nX-A: 1\r\nSet-Cookie: a\r\n\r\n"
        #expect(try #require(readResponse(text.latin1).head).hopByHop == ["Connection", "X-A"])
    }

    @Test(
        "The smallest timeout that Keep-Alive names is found, odd ones are not (RFC 2068 section 19.7.1.1)",
        arguments: [
            ("timeout=5", 5), ("timeout=5, max=1000", 5), ("max=1000,TimeOut=60", 60), ("timeout=\"7\"", 7),
            ("x, timeout = 5 ,", 5), ("timeout=0", 0), ("timeout=4294967295", .max), ("timeout=9, timeout=8", 8),
            ("timeout=9\r\nKeep-Alive: timeout=7", 7), ("timeout=x, timeout=3", 3), ("timeout=007", 7),
            ("", nil), ("timeout", nil), ("timeout=", nil), ("timeout=\"\"", nil), ("timeout=\"", nil), ("=5", nil),
            ("timeout=-1", nil), ("timeout=1.5", nil), ("timeout=5s", nil), ("timeout=\"5", nil), ("5", nil),
            ("timeout=4294967296", nil), ("timeout=18446744073709551616", nil), ("xtimeout=5", nil),
            ("timeout==5", nil),
        ] as [(String, UInt32?)])
    func keepAliveTimeout(_ value: String, _ seconds: UInt32?) {
        var head = ResponseHead()
        for (field, expected) in [("X: 1", nil), ("keep-alive: \(value)", seconds), ("X: 1", nil)] {
            let bytes = "HTTP/1.1 200 OK\r\n\(field)\r\nContent-Length: 0\r\n\r\n".latin1
            #expect(head.parse(bytes.span, answering: .get, limits: HeadLimits()) == nil)
            #expect(head.keepAliveTimeout == expected)
        }
    }
}
