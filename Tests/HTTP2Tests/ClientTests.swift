import Testing

@testable import HTTP2

/// A client and a server of HTTP/2 that exchange their bytes in memory.
@safe
final class Pair {
    let client: HTTP2Client
    let server: HTTP2Server
    private let clientMemory = HTTP2Memory()
    private let serverMemory = HTTP2Memory()
    /// The server's streams, by number.
    private(set) var served: [Int32: HTTP2Stream] = [:]
    /// What the client was told, each event as text.
    private(set) var told: [String] = []
    /// What the server was told.
    private(set) var asked: [String] = []

    init(limits: HTTP2Limits = HTTP2Limits(), clientLimits: HTTP2Limits = .ofUpstreams) {
        guard
            let client = HTTP2Client(owner: 1, memory: clientMemory, scheme: "https", limits: clientLimits),
            let server = HTTP2Server(owner: 2, memory: serverMemory, scheme: "https", limits: limits)
        else { preconditionFailure("no connection") }
        (self.client, self.server) = (client, server)
        exchange()
    }

    /// Passes bytes on in both directions until there are none.
    func exchange() {
        while true {
            var moved = 0
            _ = client.fill(atLeast: .max)
            note(clientMemory.events, clientMemory.heads, [], in: \.told)
            let up = clientMemory.output
            if !up.isEmpty {
                #expect(server.receive(up.span, now: 0) == nil)
                note(serverMemory.events, serverMemory.heads, up, in: \.asked)
            }
            _ = server.fill(atLeast: .max)
            note(serverMemory.events, serverMemory.heads, [], in: \.asked)
            let down = serverMemory.output
            if !down.isEmpty {
                #expect(client.receive(down.span, now: 0) == nil)
                note(clientMemory.events, clientMemory.heads, down, in: \.told)
            }
            moved += up.count + down.count
            if moved == 0 { return }
        }
    }

    private func note(
        _ events: [HTTP2Event], _ heads: [UInt8], _ bytes: [UInt8], in list: ReferenceWritableKeyPath<Pair, [String]>
    ) {
        for event in events {
            switch event {
            case .head(let stream, let range):
                served[stream.id] = stream
                let text = String(decoding: heads[range], as: UTF8.self)
                self[keyPath: list].append("\(stream.id) " + text.replacing("\r\n", with: "|"))
            case .oversizedHead(let stream): self[keyPath: list].append("\(stream.id) too large")
            case .body(let stream, let range):
                self[keyPath: list].append("\(stream.id) body \(String(decoding: bytes[range], as: UTF8.self))")
                stream.consume(range.count)
            case .trailers(let stream, let range):
                let text = String(decoding: heads[range], as: UTF8.self)
                self[keyPath: list].append("\(stream.id) trailers " + text.replacing("\r\n", with: "|"))
            case .end(let stream): self[keyPath: list].append("\(stream.id) end")
            case .taken: break
            case .closed(let stream, let code):
                self[keyPath: list].append("\(stream.id) closed \(code.rawValue)")
                stream.release()
            }
        }
    }

    func ask(_ head: String, hasBody: Bool = false) -> HTTP2Stream {
        let stream = client.open()
        let text = Array(head.utf8)
        stream.begin(text.span, hasBody: hasBody)
        exchange()
        return stream
    }

    func answer(_ id: Int32, _ text: String, trailers: String = "") {
        let (text, lines) = (Array(text.utf8), Array(trailers.utf8))
        served[id]?.write(text.span)
        if !lines.isEmpty { served[id]?.writeTrailers(lines.span) }
        served[id]?.finish()
        exchange()
    }
}

@Suite("A client's end of HTTP/2")
struct ClientTests {
    private let get = "GET /a?b HTTP/1.1\r\nHost: up.test\r\nX-One: 1\r\nTE: trailers\r\n\r\n"

    @Test("A connection that has sent nothing yet is not harmed by what another one of the same thread sends")
    func waitingPreface() throws {
        let memory = HTTP2Memory()
        let clients = (1...2).compactMap {
            HTTP2Client(owner: $0, memory: memory, scheme: "https", limits: .ofUpstreams)
        }
        let server = try #require(HTTP2Server(owner: 3, memory: memory, scheme: "https", limits: HTTP2Limits()))
        server.terminate(.noError)
        #expect(server.fill(atLeast: .max) == nil)
        for client in clients {
            client.ping()
            #expect(client.fill(atLeast: .max) == nil)
            #expect(memory.output.starts(with: Client.preface))
        }
    }

    @Test("A request and its response keep their meaning")
    func exchange() {
        let pair = Pair()
        _ = pair.ask(get)
        #expect(pair.asked == ["1 GET /a?b HTTP/1.1|Host: up.test|x-one: 1|te: trailers||"])
        pair.answer(1, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nhello")
        #expect(
            pair.told == ["1 HTTP/1.1 200 |content-type: text/plain||", "1 body hello", "1 end", "1 closed 0"])
        #expect(pair.client.streams.isEmpty)
    }

    @Test("A body and trailers are sent, and received")
    func trailers() {
        let pair = Pair()
        let stream = pair.ask(
            "POST / HTTP/1.1\r\nHost: up.test\r\nContent-Length: 4\r\n\r\n", hasBody: true)
        let (body, lines) = (Array("body".utf8), Array("X-Sum: 5\r\n".utf8))
        stream.write(body.span)
        stream.writeTrailers(lines.span)
        stream.finish()
        pair.exchange()
        #expect(
            pair.asked == [
                "1 POST / HTTP/1.1|Host: up.test|content-length: 4||", "1 body body", "1 trailers x-sum: 5||", "1 end",
            ])
        pair.answer(1, "HTTP/1.1 200 OK\r\n\r\nhello", trailers: "Grpc-Status: 0\r\n")
        #expect(
            pair.told == [
                "1 HTTP/1.1 200 ||", "1 body hello", "1 trailers grpc-status: 0||", "1 end", "1 closed 0",
            ])
    }

    @Test("A response without a body says so, as HTTP/1.1 has it")
    func empty() {
        let pair = Pair()
        _ = pair.ask(get)
        pair.answer(1, "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")
        _ = pair.ask("HEAD / HTTP/1.1\r\nHost: up.test\r\n\r\n")
        pair.answer(3, "HTTP/1.1 200 OK\r\n\r\n")
        _ = pair.ask(get)
        pair.answer(5, "HTTP/1.1 204 No Content\r\n\r\n")
        #expect(
            pair.told.filter { $0.contains("HTTP") } == [
                "1 HTTP/1.1 302 |location: /x|content-length: 0||", "3 HTTP/1.1 200 ||", "5 HTTP/1.1 204 ||",
            ])
    }

    @Test("Interim responses come before the final one")
    func interim() {
        let pair = Pair()
        _ = pair.ask(get)
        pair.answer(1, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        #expect(
            pair.told == [
                "1 HTTP/1.1 103 |link: x||", "1 HTTP/1.1 200 |content-length: 2||", "1 body ok", "1 end", "1 closed 0",
            ])
    }

    @Test("No more streams are opened than the server allows")
    func limit() {
        var limits = HTTP2Limits()
        limits.streams = 3
        let pair = Pair(limits: limits)
        for _ in 0..<3 {
            #expect(pair.client.mayOpen)
            _ = pair.ask(get)
        }
        #expect(!pair.client.mayOpen)
        pair.answer(1, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        #expect(pair.client.mayOpen)
    }

    @Test("After a GOAWAY, no stream is opened, and the ones that the server has not seen are refused")
    func goAway() {
        let pair = Pair()
        _ = pair.ask(get)
        pair.server.refuseNewStreams()
        let late = pair.client.open()
        let head = Array(get.utf8)
        late.begin(head.span, hasBody: false)
        pair.exchange()
        #expect(pair.client.isEnding && !pair.client.mayOpen)
        #expect(pair.told == ["3 closed 7"])
        pair.answer(1, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        #expect(pair.told.last == "1 closed 0")
    }

    @Test("A stream that is released before it was sent leaves nothing behind")
    func releasedEarly() {
        let pair = Pair()
        let stream = pair.client.open()
        let head = Array(get.utf8)
        stream.begin(head.span, hasBody: true)
        stream.reset(.cancel)
        stream.release()
        pair.exchange()
        #expect(pair.client.streams.isEmpty && pair.asked.isEmpty && pair.told.isEmpty)
        pair.client.open().release()
        #expect(pair.client.streams.isEmpty)
    }

    @Test("A reset by the server ends the stream with its code")
    func reset() {
        let pair = Pair()
        let stream = pair.ask(get, hasBody: true)
        pair.served[1]?.reset(.cancel)
        pair.exchange()
        #expect(pair.told == ["1 closed 8"] && !stream.isOpen && !stream.hasReceivedEnd)
    }

    @Test("A head that is too large is reported")
    func oversized() {
        var limits = HTTP2Limits.ofUpstreams
        limits.headBytes = 200
        let pair = Pair(clientLimits: limits)
        _ = pair.ask(get)
        pair.answer(1, "HTTP/1.1 200 OK\r\nX: \(String(repeating: "x", count: 300))\r\n\r\nhello")
        #expect(pair.told.first == "1 too large")
    }

    @Test("A body that nobody takes stops its own stream only")
    func windows() {
        let pair = Pair()
        _ = pair.ask(get)
        let second = pair.ask(get)
        let body = String(repeating: "x", count: 500_000)
        pair.answer(1, "HTTP/1.1 200 OK\r\n\r\n" + body)
        pair.answer(second.id, "HTTP/1.1 200 OK\r\n\r\nok")
        #expect(pair.told.contains("3 body ok"))
        let received = pair.told.filter { $0.hasPrefix("1 body") }.reduce(0) { $0 + $1.utf8.count - 7 }
        #expect(received == 500_000)
    }
}
