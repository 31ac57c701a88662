import Testing

@testable import HTTP2

@Suite("Responses over HTTP/2") struct ResponseTests {
    private static func head(_ lines: String...) -> [UInt8] {
        Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    }

    private static let ok = head(
        "HTTP/1.1 200 OK", "Content-Length: 3", "X-A:  b ", "Connection: close", "Set-Cookie: a=1")

    private static let other = head("HTTP/1.1 404 Not Found", "Content-Length: 3")

    @Test("A response's head has lower-case names and none of the fields that belong to a connection")
    func fields() throws {
        let client = Client()
        client.request(Client.get)
        client.stream(1).write(Self.ok.span)
        let frames = client.received()
        #expect(frames.map(\.kind) == [.headers] && frames[0].flags == Frame.endHeaders)
        #expect(client.fields(frames[0]) == [":status: 200", "content-length: 3", "x-a: b", "set-cookie: a=1"])
    }

    @Test("A body follows in DATA frames, and its last bytes end the stream")
    func body() {
        let client = Client()
        client.request(Client.get)
        let start = Self.ok + "ab".utf8
        client.stream(1).write(start.span)
        let first = client.received()
        #expect(client.events.last == .taken(stream: 1))
        client.answer(1, [], "c")
        let frames = first + client.received()
        #expect(frames.map(\.kind) == [.headers, .data, .data])
        #expect(frames.map(\.flags) == [Frame.endHeaders, 0, Frame.endStream])
        #expect(frames.dropFirst().map(\.payload) == [Array("ab".utf8), Array("c".utf8)])
        #expect(client.events.last == .closed(stream: 1, .noError))
    }

    @Test("A head and a body that are written together leave together, and the body ends the stream")
    func whole() {
        let client = Client()
        client.request(Client.get)
        client.answer(1, Self.ok, "abc")
        #expect(client.received().map(\.flags) == [Frame.endHeaders, Frame.endStream])
    }

    /// Responses without a body: the method, and the head.
    static let bodiless = [
        ("HEAD", head("HTTP/1.1 200 OK", "Content-Length: 3")), ("GET", head("HTTP/1.1 204 No Content")),
        ("GET", head("HTTP/1.1 304 Not Modified", "Content-Length: 3")),
        ("POST", head("HTTP/1.1 200 OK", "content-length:0")),
    ]

    @Test("A head that excludes a body ends the stream", arguments: bodiless)
    func noBody(_ method: String, _ head: [UInt8]) {
        let client = Client()
        client.request(Client.fields(method: method))
        client.answer(1, head)
        #expect(client.received().map(\.flags) == [Frame.endHeaders | Frame.endStream])
        #expect(client.events.last == .closed(stream: 1, .noError))
    }

    @Test("A body without bytes ends the stream by an empty frame")
    func emptyBody() {
        let client = Client()
        client.request(Client.get)
        client.answer(1, Self.head("HTTP/1.1 200 OK"))
        #expect(client.received().last == Frame(kind: .data, flags: Frame.endStream, stream: 1))
    }

    @Test("Trailers follow the body, and end the stream", arguments: ["abc", ""])
    func trailers(_ body: String) {
        let client = Client()
        client.request(Client.get)
        client.stream(1).write(Self.head("HTTP/1.1 200 OK").span)
        client.stream(1).writeTrailers(Array("Grpc-Status: 0\r\nX:y\r\n".utf8).span)
        client.answer(1, [], body)
        let frames = client.received()
        #expect(frames.first?.kind == .headers && frames.last?.kind == .headers)
        #expect(frames.filter { $0.kind == .data }.flatMap(\.payload) == Array(body.utf8))
        #expect(frames.map { $0.flags & Frame.endStream }.firstIndex(of: 1) == frames.count - 1)
        _ = client.fields(frames[0])
        #expect(client.fields(frames[frames.count - 1]) == ["grpc-status: 0", "x: y"])
        #expect(client.events.last == .closed(stream: 1, .noError))
    }

    @Test("A response that ends without a head is a reset")
    func noHead() {
        let client = Client()
        client.request(Client.get)
        client.stream(1).finish()
        #expect(client.received().map(\.kind) == [.reset])
        #expect(client.events.last == .closed(stream: 1, .internalError))
    }

    @Test("A response that is complete before its request stops the request")
    func earlyAnswer() {
        let client = Client()
        client.request(Client.post, isComplete: false)
        client.answer(1, Self.ok, "abc")
        let frames = client.received()
        #expect(frames.map(\.kind) == [.headers, .data, .reset] && frames[1].flags == Frame.endStream)
        #expect(frames.last?.number(at: 0) == HTTP2Code.noError.rawValue)
        #expect(client.events.last == .closed(stream: 1, .noError))
    }

    @Test("Bytes beyond the client's window wait, and follow when the client opens the window")
    func windows() {
        let client = Client()
        client.request(Client.get)
        let body = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
        let response = Self.head("HTTP/1.1 200 OK") + body
        client.stream(1).write(response.span)
        client.stream(1).finish()
        var sent = client.received().dropFirst().flatMap(\.payload)
        #expect(sent.count == 65_535 && client.stream(1).waiting == 100_000 - 65_535)
        #expect(client.stream(1).newlyTaken() == 65_535 && client.stream(1).newlyTaken() == 0)
        client.send(Frame.windowUpdate(0, by: 100_000), Frame.windowUpdate(1, by: 10))
        sent += client.received().flatMap(\.payload)
        #expect(sent.count == 65_545)
        client.send(Frame.windowUpdate(1, by: 100_000))
        sent += client.received().flatMap(\.payload)
        #expect(sent == body && client.stream(1).waiting == 0)
    }

    @Test("An interim response is followed by the final one")
    func interim() {
        let client = Client()
        client.request(Client.get)
        client.stream(1).write(Self.head("HTTP/1.1 103 Early Hints", "Link: </a>").span)
        client.answer(1, Self.head("HTTP/1.1 204 No Content"))
        let frames = client.received()
        #expect(frames.map { client.fields($0).first } == [":status: 103", ":status: 204"])
        #expect(frames.map { $0.flags & Frame.endStream } == [0, Frame.endStream])
    }

    @Test("Responses of several streams are independent, whatever their order")
    func streams() {
        let client = Client()
        for stream in [1, 3, 5] as [Int32] { client.request(Client.get, stream: stream) }
        for stream in [5, 1, 3] as [Int32] { client.answer(stream, Self.ok, "\(stream)") }
        let bodies = client.received().filter { $0.kind == .data }.sorted { $0.stream < $1.stream }
        #expect(bodies.map(\.stream) == [1, 3, 5] && bodies.map(\.payload) == [[49], [51], [53]])
        #expect(client.server.streams.isEmpty)
    }

    @Test("A connection with something to send names its owner once, until all is sent")
    func outgoing() {
        let client = Client()
        for stream in [1, 3] as [Int32] { client.request(Client.get, stream: stream) }
        #expect(client.memory.outgoing == [7])
        _ = client.received()
        for stream in [1, 3] as [Int32] { client.answer(stream, Self.ok, "abc") }
        #expect(client.memory.outgoing == [7])
        #expect(client.server.fill(atLeast: 1) == nil && client.memory.output.count > 0)
    }

    @Test("What a connection has not taken is never sent to another one of the same thread")
    func sharedMemory() throws {
        let client = Client()
        client.request(Client.get)
        client.answer(1, Self.ok, "abc")
        #expect(client.server.fill(atLeast: .max) == nil && client.memory.output.count > 0)
        let other = try #require(
            HTTP2Server(owner: 8, memory: client.memory, scheme: "https", limits: HTTP2Limits()))
        #expect(other.fill(atLeast: .max) == nil)
        // SETTINGS and an update of the connection's window.
        #expect(client.memory.output.count == 9 + 30 + 13 && client.memory.events.isEmpty)
        let request = Client.headers(Client.get, stream: 3).bytes
        _ = client.server.receive(request.span, now: 0)
        #expect(client.memory.events.count == 1)
        let preface = Client.preface
        _ = other.receive(preface.span, now: 0)
        #expect(client.memory.events.isEmpty && client.memory.heads.isEmpty)
    }

    @Test("A part that is sent at once leaves as far as the window allows, and the rest follows in order")
    func atOnce() {
        let client = Client()
        client.request(Client.get)
        let body = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
        var bytes: [UInt8] = []
        func note(_ frames: [Frame]) { bytes += frames.filter { $0.kind == .data }.flatMap(\.payload) }

        let start = Self.head("HTTP/1.1 200 OK") + body[..<40_000]
        client.stream(1).write(start.span) { note(client.received()) }
        #expect(bytes.count == 40_000 && client.stream(1).waiting == 0)
        let rest = Array(body[40_000...])
        client.stream(1).write(rest.span) { note(client.received()) }
        #expect(bytes.count == 65_535 && client.stream(1).waiting == 34_465)
        client.send(Frame.windowUpdate(0, by: 50_000), Frame.windowUpdate(1, by: 50_000))
        client.stream(1).finish()
        note(client.received())
        #expect(bytes == body && client.events.last == .closed(stream: 1, .noError))
    }

    @Test("Connections of one thread that send by turns don't mix their frames")
    func turns() {
        let memory = HTTP2Memory()
        // The heads need several frames each.
        let clients = ["a", "b"].map { letter in
            let client = Client(memory: memory)
            client.request(Client.get)
            let field = "X-A: " + String(repeating: letter, count: 20_000)
            let body = String(repeating: letter, count: 60_000)
            client.answer(1, Self.head("HTTP/1.1 200 OK", "Content-Length: 60000", field, field, field), body)
            return client
        }
        var frames: [[Frame]] = [[], []]
        while frames.contains(where: { $0.last?.flags != Frame.endStream || $0.last?.kind != .data }) {
            for (number, client) in clients.enumerated() { frames[number] += client.received(atLeast: 1) }
        }
        for (number, letter) in ["a", "b"].enumerated() {
            let heads = frames[number].filter { $0.kind != .data }
            #expect(heads.map(\.kind) == [.headers] + Array(repeating: .continuation, count: heads.count - 1))
            let fields = clients[number].fields(Frame(kind: .headers, payload: heads.flatMap(\.payload)))
            #expect(fields.dropFirst(2).allSatisfy { $0 == "x-a: " + String(repeating: letter, count: 20_000) })
            #expect(fields.count == 5 && heads.count > 1)
            let body = frames[number].filter { $0.kind == .data }.flatMap(\.payload)
            #expect(body == Array(String(repeating: letter, count: 60_000).utf8))
        }
    }

    @Test("What is sent on a stream that no longer exists is dropped")
    func lateAnswer() {
        let client = Client()
        client.request(Client.get)
        client.send(Frame.reset(1))
        client.answer(1, Self.ok, "abc")
        client.stream(1).reset(.cancel)
        client.stream(1).consume(1)
        #expect(client.received().isEmpty && client.stream(1).waiting == 0)
        #expect(client.head(client.request(Client.get, stream: 3).first) != nil)
    }

    @Test("At the end of a connection the client learns which streams continue, and its new ones are refused")
    func end() {
        let client = Client()
        client.request(Client.get)
        client.server.announceEnd()
        #expect(client.received().map { $0.number(at: 0) } == [UInt32(Int32.max)])
        client.request(Client.get, stream: 3)
        client.server.refuseNewStreams()
        #expect(client.received().map { $0.number(at: 0) } == [3])
        #expect(client.request(Client.get, stream: 5).isEmpty && !client.server.isFinished)
        for stream in [1, 3] as [Int32] { client.answer(stream, Self.other, "abc") }
        _ = client.received()
        #expect(client.server.isFinished)
    }

    @Test("Bodies are sent in the order that the client asks for")
    func priorities() {
        let client = Client()
        for (stream, urgency) in [(1, 7), (3, 3), (5, 0), (7, 5)] as [(Int32, Int)] {
            client.request(Client.get + [("priority", "u=\(urgency)")], stream: stream)
        }
        client.send(Frame(kind: .priorityUpdate, payload: Frame.big(7) + Array("u=1".utf8)))
        let body = String(repeating: "x", count: 3000)
        for stream in [1, 3, 5, 7] as [Int32] { client.answer(stream, Self.other, body) }
        #expect(client.received().filter { $0.kind == .data }.map(\.stream) == [5, 7, 3, 1])
    }
}
