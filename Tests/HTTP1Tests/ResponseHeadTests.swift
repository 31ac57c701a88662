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
        "The end of the body follows RFC 9112 section 6.3, however the head is split",
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
            // White space before a colon does not belong to the name (RFC 9112 section 5.1).
            Framed(head: "HTTP/1.1 200 OK\r\nContent-Length : 5", framing: .length(5)),
            Framed(head: "HTTP/1.1 200 OK\r\nTransfer-Encoding \t: chunked", framing: .chunked),
            Framed(
                head: "HTTP/1.1 200 OK\r\nconnection\t: close\r\nContent-Length: 5", framing: .length(5),
                keepsAlive: false),
            // If the same length is repeated, it counts once (RFC 9110 section 8.6).
            Framed(head: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5", framing: .length(5)),
            Framed(head: "HTTP/1.1 200 OK\r\nContent-Length: 5, 5", framing: .length(5)),
            Framed(head: "HTTP/1.1 200 OK\r\nContent-Length: 5,05 ,5\r\nContent-Length:5", framing: .length(5)),
            // `identity` means no coding, so it is ignored (RFC 2616 section 3.6).
            Framed(head: "HTTP/1.1 200 OK\r\nTransfer-Encoding: Identity", framing: .untilClose, keepsAlive: false),
            Framed(head: "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity, chunked", framing: .chunked),
            Framed(head: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: identity", framing: .length(5)),
            Framed(head: "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 5", framing: .length(5)),
            Framed(head: "HTTP/1.0 200 OK\r\nTransfer-Encoding: identity", framing: .untilClose, keepsAlive: false),
            // A higher minor version is treated as 1.1 (RFC 9110 section 2.5).
            Framed(head: "HTTP/1.2 200 OK\r\nTransfer-Encoding: chunked", framing: .chunked),
            Framed(head: "HTTP/1.9 200 OK\r\nContent-Length: 5", framing: .length(5)),
            // Statuses that no standard defines (RFC 9110 section 15).
            Framed(head: "HTTP/1.1 600 x\r\nContent-Length: 5", framing: .length(5)),
            Framed(head: "HTTP/1.1 999\r\nContent-Length: 5", framing: .length(5)),
            // One empty line before the head is ignored, as before a request (RFC 9112 section 2.2).
            Framed(head: "\r\nHTTP/1.1 200 OK\r\nContent-Length: 5", framing: .length(5)),
            // The meaning of Connection is in doubt (RFC 9110 section 7.6.1).
            Framed(
                head: "HTTP/1.1 200 OK\r\nConnection: a b\r\nContent-Length: 5", framing: .length(5), keepsAlive: false),
            Framed(
                head: "HTTP/1.1 200 OK\r\nConnection: keep-alive; timeout=5\r\nContent-Length: 5", framing: .length(5),
                keepsAlive: false),
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

    @Test("The status line is read with any reason phrase or none")
    func statusLine() {
        func read(_ line: String) -> String? {
            readResponse("\(line)\r\n\r\n".latin1).head.map { "\($0.status)|\($0.first)" }
        }
        #expect(read("HTTP/1.1 200 OK") == "200|OK")
        #expect(read("HTTP/1.1 200 ") == "200|")
        #expect(read("HTTP/1.1 200") == "200|")
        #expect(read("HTTP/1.0 599 a b\tc\u{E9}") == "599|a b\tc\u{E9}")
        #expect(read("HTTP/1.1 100  x") == "100| x")
        #expect(read("\r\nHTTP/1.1 200 OK") == "200|OK")
        #expect(read("\r\nHTTP/1.1 200") == "200|")
        #expect(read("HTTP/1.1 999 Denied") == "999|Denied")
    }

    @Test(
        "An ambiguous response is refused",
        arguments: [
            "HTTP/1.1 099 x", "HTTP/1.1 000 x", "HTTP/1.1 1000 x", "HTTP/1.1 20 x", "HTTP/1.1 2000 x", "HTTP/1.1 200x",
            "HTTP/1.1  200 x", "HTTP/1.1 +20 x", "HTTP/1.1 2 0 x", "HTTP/1.1\t200 x", "HTTP/1.1 200\tx", "HTTP/1.1",
            "HTTP/1.1 ", "HTTP/2.0 200 x", "HTTP/1.x 200 x", "HTTP/1. 200 x", "HTTP/0.9 200 x",
            "\r\n\r\nHTTP/1.1 200 x", "\r\n HTTP/1.1 200 x", "http/1.1 200 x", " HTTP/1.1 200 x",
            "HTTP/1.1 200 a\0b", "HTTP/1.1 200 a\rb", "HTTP/1.1 200 a\nb", "200 OK", "ICY 200 OK", "X: y",
            "HTTP/1.1 200 x\r\nContent-Length: 5\r\nContent-Length: 6", "HTTP/1.1 200 x\r\nContent-Length: 5, 6",
            "HTTP/1.1 200 x\r\nContent-Length: 5,", "HTTP/1.1 200 x\r\nContent-Length: ,5",
            "HTTP/1.1 200 x\r\nContent-Length: 5, +5", "HTTP/1.1 200 x\r\nContent-Length: 5 5",
            "HTTP/1.1 200 x\r\nContent-Length : 5\r\nContent-Length: 6",
            "HTTP/1.1 200 x\r\nContent-Length : 5\r\nTransfer-Encoding: chunked",
            "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked, identity, gzip",
            "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked, identity",
            "HTTP/1.1 200 x\r\nContent-Length:", "HTTP/1.1 200 x\r\nContent-Length: +5",
            "HTTP/1.1 200 x\r\nContent-Length: -1", "HTTP/1.1 200 x\r\nContent-Length: 18446744073709551616",
            "HTTP/1.1 200 x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
            "HTTP/1.1 204 x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
            "HTTP/1.0 200 x\r\nTransfer-Encoding: chunked", "HTTP/1.1 200 x\r\nTransfer-Encoding: gzip",
            "HTTP/1.1 200 x\r\nTransfer-Encoding: gzip, chunked", "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked, gzip",
            "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked, chunked", "HTTP/1.1 200 x\r\nTransfer-Encoding:",
            "HTTP/1.1 200 x\r\nX Y: z", "HTTP/1.1 200 x\r\nX\tY: z", "HTTP/1.1 200 x\r\nX Y : z",
            "HTTP/1.1 200 x\r\n: y",
            "HTTP/1.1 200 x\r\n : y", "HTTP/1.1 200 x\r\n\t: y", "HTTP/1.1 200 x\r\n\tX : y",
            "HTTP/1.1 200 x\r\nX \r\n: y",
            "HTTP/1.1 200 x\r\nX: y\r\n z", "HTTP/1.1 200 x\r\n X: y", "HTTP/1.1 200 x\r\nX",
        ])
    func refused(_ text: String) {
        let bytes = "\(text)\r\n\r\n".latin1
        let whole = readResponse(bytes)
        #expect(whole.fault != nil)
        for step in [1, 2, 5] { #expect(readResponse(bytes, step: step) == whole) }
    }

    @Test("Blanks before a colon are removed from each field (RFC 9112 section 5.1)")
    func blanksBeforeColons() throws {
        let text = "HTTP/1.1 200 OK\r\nX_a :1\r\nServer\t : 2\r\nX-B \t: 3\r\nConnection : x-b\r\nZ:4\r\n\r\n"
        let head = try #require(readResponse(text.latin1).head)
        #expect(head.fields.map(\.name) == ["X_a", "Server", "X-B", "Connection", "Z"])
        #expect(head.fields.map(\.value) == ["1", "2", "3", "x-b", "4"])
        #expect(head.fields.map(\.id) == [.other, .server, .other, .connection, .other])
        #expect(head.fields.map(\.hasUnderscore) == [true, false, false, false, false])
        #expect(head.hopByHop == ["X-B", "Connection"])
    }

    @Test("Content-Length is known for responses without a body, too (RFC 9110 section 8.6)")
    func contentLength() {
        var head = ResponseHead()
        for (field, length) in [("Content-Length: 007, 7", 7), ("X: y", nil)] as [(String, UInt64?)] {
            let bytes = "HTTP/1.1 304 Not Modified\r\n\(field)\r\n\r\n".latin1
            #expect(head.parse(bytes.span, answering: .get, limits: HeadLimits()) == nil)
            #expect(head.contentLength == length && head.framing == .none)
        }
    }

    @Test("Interim answers and a change of protocol are distinguished")
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
        "The smallest valid timeout of Keep-Alive is found (RFC 2068 section 19.7.1.1)",
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
