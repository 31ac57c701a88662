import Testing

@testable import HTTP2

@Suite("Responses over HTTP/2") struct ResponseTests {
    private static func head(_ lines: String...) -> [UInt8] {
        Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    }

    private static let ok = head(
        "HTTP/1.1 200 OK", "Content-Length: 3", "X-A:  b ", "Connection: close", "Set-Cookie: a=1")

    @Test("A response's head has lower-case names and none of the fields that belong to a connection")
    func fields() throws {
        let client = Client()
        client.request(Client.get)
        client.server.respond(to: 1, Self.ok.span, hasBody: false)
        let frames = client.received()
        #expect(frames.map(\.kind) == [.headers] && frames[0].flags == Frame.endHeaders | Frame.endStream)
        #expect(client.fields(frames[0]) == [":status: 200", "content-length: 3", "x-a: b ", "set-cookie: a=1"])
        #expect(client.memory.events.last == .closed(stream: 1, .noError))
    }

    @Test("A body follows in DATA frames, and its last bytes end the stream")
    func body() {
        let client = Client()
        client.request(Client.get)
        client.server.respond(to: 1, Self.ok.span, hasBody: true)
        client.server.send(Array("ab".utf8).span, on: 1, isLast: false)
        client.server.send(Array("c".utf8).span, on: 1, isLast: true)
        let frames = client.received()
        #expect(frames.map(\.kind) == [.headers, .data, .data])
        #expect(frames.map(\.flags) == [Frame.endHeaders, 0, Frame.endStream])
        #expect(frames.dropFirst().map(\.payload) == [Array("ab".utf8), Array("c".utf8)])
        #expect(client.memory.events.last == .closed(stream: 1, .noError))
    }

    @Test("A body without bytes ends the stream by an empty frame")
    func emptyBody() {
        let client = Client()
        client.request(Client.get)
        client.server.respond(to: 1, Self.ok.span, hasBody: true)
        let nothing: [UInt8] = []
        client.server.send(nothing.span, on: 1, isLast: true)
        #expect(client.received().last == Frame(kind: .data, flags: Frame.endStream, stream: 1))
    }

    @Test("Bytes beyond the client's window wait, and follow when the client opens the window")
    func windows() {
        let client = Client()
        client.request(Client.get)
        client.server.respond(to: 1, Self.ok.span, hasBody: true)
        let body = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
        client.server.send(body.span, on: 1, isLast: true)
        var sent = client.received().dropFirst().flatMap(\.payload)
        #expect(sent.count == 65_535 && client.server.waiting(on: 1) == 100_000 - 65_535)
        client.send(Frame.windowUpdate(0, by: 100_000), Frame.windowUpdate(1, by: 10))
        sent += client.received().flatMap(\.payload)
        #expect(sent.count == 65_545)
        client.send(Frame.windowUpdate(1, by: 100_000))
        sent += client.received().flatMap(\.payload)
        #expect(sent == body && client.server.waiting(on: 1) == 0)
    }

    @Test("An interim response is followed by the final one")
    func interim() {
        let client = Client()
        client.request(Client.get)
        client.server.respond(to: 1, Self.head("HTTP/1.1 103 Early Hints", "Link: </a>").span, hasBody: false)
        client.server.respond(to: 1, Self.head("HTTP/1.1 204 No Content").span, hasBody: false)
        let frames = client.received()
        #expect(frames.map { client.fields($0).first } == [":status: 103", ":status: 204"])
        #expect(frames.map { $0.flags & Frame.endStream } == [0, Frame.endStream])
    }

    @Test("Responses of several streams are independent, whatever their order")
    func streams() {
        let client = Client()
        for stream in [1, 3, 5] as [Int32] { client.request(Client.get, stream: stream) }
        for stream in [5, 1, 3] as [Int32] {
            client.server.respond(to: stream, Self.ok.span, hasBody: true)
            client.server.send(Array("\(stream)".utf8).span, on: stream, isLast: true)
        }
        let bodies = client.received().filter { $0.kind == .data }
        #expect(bodies.map(\.stream) == [5, 1, 3] && bodies.map(\.payload) == [[53], [49], [51]])
    }

    @Test("What is sent on a stream that no longer exists is dropped")
    func lateAnswer() {
        let client = Client()
        client.request(Client.get)
        client.send(Frame.reset(1))
        client.server.respond(to: 1, Self.ok.span, hasBody: true)
        client.server.send(Array("abc".utf8).span, on: 1, isLast: true)
        #expect(client.received().isEmpty && client.server.waiting(on: 1) == 0)
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
        for stream in [1, 3] as [Int32] { client.server.respond(to: stream, Self.ok.span, hasBody: false) }
        #expect(client.server.isFinished)
    }
}
