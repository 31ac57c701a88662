import HTTP1
import Testing

@testable import HTTP2

@Suite("Requests over HTTP/2") struct RequestTests {
    @Test("A request's head has the form of HTTP/1.1, which the parser of HTTP/1.1 accepts")
    func head() throws {
        let client = Client()
        let events = client.request(
            Client.fields(path: "/a?b=c") + [("accept", "*/*"), ("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")])
        #expect(events.count == 1)
        let text = try #require(client.head(events.first))
        #expect(
            text == "GET /a?b=c HTTP/1.1\r\nHost: app.test\r\naccept: */*\r\nx: y\r\nCookie: a=1; b=2\r\n\r\n")
        var head = RequestHead()
        #expect(head.parse(Array(text.utf8).span, limits: HeadLimits()) == nil)
        #expect(events == [.head(stream: 1, 0..<text.utf8.count, isComplete: true)])
    }

    @Test("Without :authority, Host names the host; with both, they must be the same name")
    func authority() {
        #expect(
            Client().first(Client.fields(authority: nil) + [("host", "b.test")])?.contains("\r\nHost: b.test\r\n")
                == true)
        #expect(Client().first(Client.get + [("host", "APP.test")])?.contains("\r\nHost: app.test\r\n") == true)
        #expect(Client().first(Client.get + [("host", "b.test")]) == nil)
    }

    @Test("Blanks around a value are left out, and the upgrade settings of HTTP/1.1 too")
    func values() {
        let head = Client().first(Client.get + [("x", " \ta b\t "), ("http2-settings", "AAAA")])
        #expect(head == "GET / HTTP/1.1\r\nHost: app.test\r\nx: a b\r\n\r\n")
    }

    @Test("A body without a length is announced as chunked; one with a length by the length")
    func bodies() {
        let client = Client()
        let open = client.request(Client.post, isComplete: false)
        #expect(client.head(open.first)?.hasSuffix("\r\nTransfer-Encoding: chunked\r\n\r\n") == true)
        let sized = client.request(Client.post + [("content-length", "3")], stream: 3, isComplete: false)
        #expect(client.head(sized.first) == "POST / HTTP/1.1\r\nHost: app.test\r\ncontent-length: 3\r\n\r\n")
        let data = Frame(kind: .data, stream: 3, payload: Array("ab".utf8))
        let last = Frame(kind: .data, flags: Frame.endStream, stream: 3, payload: Array("c".utf8))
        #expect(client.send(data, last) == [.body(stream: 3, 9..<11), .body(stream: 3, 20..<21), .end(stream: 3)])
    }

    @Test("A head that is split at any byte, and into CONTINUATION frames, gives the same events")
    func pieces() {
        let whole = Client.headers(Client.get + [("cookie", "a=1"), ("x", "y")])
        var first = whole
        first.flags = Frame.endStream
        first.payload = Array(whole.payload.prefix(20))
        let second = Frame(
            kind: .continuation, flags: Frame.endHeaders, stream: 1, payload: Array(whole.payload.dropFirst(20)))
        for bytes in [whole.bytes, first.bytes + second.bytes] {
            for cut in bytes.indices {
                let client = Client()
                let begun = client.send(Array(bytes[..<cut]))
                #expect(begun.isEmpty)
                let events = client.send(Array(bytes[cut...]))
                #expect(client.head(events.first) == "GET / HTTP/1.1\r\nHost: app.test\r\nx: y\r\nCookie: a=1\r\n\r\n")
            }
        }
    }

    static let webSocket = Client.fields(method: "CONNECT") + [(":protocol", "websocket")]

    @Test("An extended CONNECT asks for an upgrade; the answer 101 becomes 200, and the other protocol's bytes follow")
    func extendedConnect() {
        let client = Client()
        let fields = Self.webSocket + [("sec-websocket-version", "13"), ("sec-websocket-key", "evil")]
        let events = client.request(fields, isComplete: false)
        #expect(
            client.head(events.first)
                == "GET / HTTP/1.1\r\nHost: app.test\r\nsec-websocket-version: 13\r\n"
                + "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        let head =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
            + "Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
        client.stream(1).write(Array(head.utf8).span)
        client.stream(1).write(Array("frame".utf8).span)
        let frames = client.received()
        #expect(client.fields(frames[0]) == [":status: 200", "sec-websocket-protocol: chat"])
        #expect(frames[1].payload == Array("frame".utf8))
        #expect(client.send(Frame(kind: .data, stream: 1, payload: [1])) == [.body(stream: 1, 9..<10)])
    }

    /// Requests that break a rule. Each is reset with PROTOCOL_ERROR, and none becomes an event.
    static let malformed: [(name: String, fields: [(String, String)])] = [
        ("no method", Client.fields(method: nil)), ("no scheme", Client.fields(scheme: nil)),
        ("no path", Client.fields(path: nil)), ("no host", Client.fields(authority: nil)),
        ("two methods", Client.get + [(":method", "GET")]),
        ("two paths", Client.get + [(":path", "/")]),
        ("an unknown pseudo-field", Client.get + [(":x", "y")]),
        ("a response's pseudo-field", Client.get + [(":status", "200")]),
        ("a pseudo-field behind others", Client.fields(path: nil) + [("x", "y"), (":path", "/")]),
        ("another scheme", Client.fields(scheme: "http")),
        ("an empty path", Client.fields(path: "")), ("a path without a slash", Client.fields(path: "a")),
        ("a space in the path", Client.fields(path: "/ HTTP/1.1")),
        ("a line end in the path", Client.fields(path: "/\r\nx: y")), ("a NUL in the path", Client.fields(path: "/\0")),
        ("a space in the method", Client.fields(method: "GET /x")), ("an empty method", Client.fields(method: "")),
        ("a line end in the method", Client.fields(method: "GET\r\n")),
        ("a user in the authority", Client.fields(authority: "u@app.test")),
        ("a space in the authority", Client.fields(authority: "a b")),
        ("a slash in the authority", Client.fields(authority: "a/b")),
        ("an upper-case name", Client.get + [("X", "y")]),
        ("an empty name", Client.get + [("", "y")]),
        ("a space in a name", Client.get + [("a b", "y")]),
        ("a colon in a name", Client.get + [("a:b", "y")]),
        ("a line end in a name", Client.get + [("a\r\nb", "y")]),
        ("a line end in a value", Client.get + [("a", "b\r\nc: d")]),
        ("a line feed in a value", Client.get + [("a", "b\nc: d")]),
        ("a NUL in a value", Client.get + [("a", "b\0c")]),
        ("Connection", Client.get + [("connection", "close")]),
        ("Keep-Alive", Client.get + [("keep-alive", "timeout=5")]),
        ("Proxy-Connection", Client.get + [("proxy-connection", "close")]),
        ("Transfer-Encoding", Client.post + [("transfer-encoding", "chunked")]),
        ("Upgrade", Client.get + [("upgrade", "websocket")]),
        ("TE with another value", Client.get + [("te", "gzip")]),
        ("two hosts", Client.get + [("host", "app.test"), ("host", "app.test")]),
        ("another host", Client.get + [("host", "b.test")]),
        ("two lengths", Client.post + [("content-length", "0"), ("content-length", "0")]),
        ("a signed length", Client.post + [("content-length", "+0")]),
        ("a list of lengths", Client.post + [("content-length", "0, 0")]),
        ("a length without a body", Client.post + [("content-length", "1")]),
        ("CONNECT with a path", Client.fields(method: "CONNECT")),
        ("an extended CONNECT with a length", webSocket + [("content-length", "3")]),
        ("a protocol without CONNECT", Client.get + [(":protocol", "websocket")]),
        ("an empty protocol", Client.fields(method: "CONNECT") + [(":protocol", "")]),
    ]

    @Test("A malformed request is reset and reported to nobody", arguments: malformed.map(\.name))
    func malformedRequest(_ name: String) throws {
        let fields = try #require(Self.malformed.first { $0.name == name }).fields
        let client = Client()
        #expect(client.request(fields).isEmpty)
        let resets = client.received().filter { $0.kind == .reset }
        #expect(resets.map(\.stream) == [1] && resets.first?.number(at: 0) == HTTP2Code.protocolError.rawValue)
        // The connection is not affected, and the tables of HPACK agree.
        #expect(client.first(Client.get, stream: 3) != nil && client.failure == nil)
    }

    @Test("A body that is longer or shorter than its length ends in a reset, without an end", arguments: [1, 3])
    func wrongLength(_ count: Int) {
        let client = Client()
        client.request(Client.post + [("content-length", "2")], isComplete: false)
        let events = client.send(
            Frame(kind: .data, flags: Frame.endStream, stream: 1, payload: Array(repeating: 0, count: count)))
        _ = client.received()
        #expect(!events.contains(.end(stream: 1)) && client.events.contains(.closed(stream: 1, .protocolError)))
    }

    @Test("A head beyond the limits is reported as that, whatever it is made of, and takes no more memory")
    func oversizedHeads() {
        var limits = HTTP2Limits()
        (limits.headBytes, limits.fields) = (2000, 50)
        for fields in [
            [("x", String(repeating: "y", count: 2000))], Array(repeating: ("a", ""), count: 50),
            Array(repeating: ("cookie", "a"), count: 50),
        ] {
            let client = Client(limits: limits)
            #expect(client.request(Client.get + fields) == [.oversizedHead(stream: 1, isComplete: true)])
            #expect(client.memory.heads.isEmpty)
            #expect(client.first(Client.get, stream: 3) != nil)
        }
    }

    @Test("A reset by the client closes the stream, and later frames of the stream are ignored")
    func reset() {
        let client = Client()
        client.request(Client.post, isComplete: false)
        #expect(client.send(Frame.reset(1)) == [.closed(stream: 1, .cancel)])
        #expect(client.failure == nil)
    }

    @Test("Trailers end the body, and are told as lines; more than 8 KiB of them reset the stream")
    func trailers() {
        let client = Client()
        client.request(Client.post, isComplete: false)
        let events = client.request([("x", "y"), ("a", "b")])
        #expect(events == [.trailers(stream: 1, 0..<14), .end(stream: 1)])
        #expect(String(decoding: client.memory.heads, as: UTF8.self) == "x: y\r\na: b\r\n\r\n")
        client.request(Client.post, stream: 3, isComplete: false)
        let large = client.request([("x", String(repeating: "y", count: 9000))], stream: 3)
        #expect(large.isEmpty && client.received().map(\.kind).contains(.reset))
    }

    @Test("The client may send a window's worth, and more only as the gateway passes bytes on")
    func windows() {
        let client = Client()
        client.request(Client.post, isComplete: false)
        let frame = Frame(kind: .data, stream: 1, payload: Array(repeating: 0, count: 16_384))
        client.send(frame, frame, frame)
        #expect(client.received().isEmpty)
        client.stream(1).consume(3 * 16_384)
        #expect(client.received() == [.windowUpdate(1, by: 3 * 16_384)])
        client.send(frame, frame, frame)
        // The window has 65,536 bytes again, of which 49,152 are used. These are too many.
        client.send(frame, frame)
        _ = client.received()
        #expect(client.events.contains { if case .closed(stream: 1, _) = $0 { true } else { false } })
    }
}

extension Client {
    /// The head of a request, if it became an event.
    fileprivate func first(_ fields: [(String, String)], stream: Int32 = 1) -> String? {
        head(request(fields, stream: stream).first)
    }
}
