import Testing

@testable import HTTP2

@Suite("Floods over HTTP/2") struct FloodTests {
    /// Frames that cost more than they carry.
    enum Flood: String, CaseIterable {
        case ping, pingAnswer, settings, priority, windowUpdate, unknownFrame, padding
        case reset, malformedRequest, overflowedWindow, largeTrailers

        var kind: HTTP2Failure.Flood {
            switch self {
            case .ping, .pingAnswer, .settings, .priority, .windowUpdate, .unknownFrame, .padding: .controlFrames
            case .reset, .malformedRequest, .overflowedWindow, .largeTrailers: .resets
            }
        }

        /// One unit of the flood; the first has `number` 0.
        func unit(_ number: Int) -> [Frame] {
            let stream = Int32(2 * number + 1)
            return switch self {
            case .ping: [Frame(kind: .ping, payload: Array(repeating: 0, count: 8))]
            case .pingAnswer:
                [Frame(kind: .ping, flags: Frame.acknowledgement, payload: Array(repeating: 0, count: 8))]
            case .padding:
                (number == 0 ? [Client.headers(Client.post, isComplete: false)] : [])
                    + [Frame(kind: .data, flags: 8, stream: 1, payload: [1, 0])]
            case .largeTrailers:
                [
                    Client.headers(Client.post, stream: stream, isComplete: false),
                    Client.headers([("x", String(repeating: "y", count: 9000))], stream: stream),
                ]
            case .settings: [Frame(kind: .settings)]
            case .priority: [Frame(kind: .priority, stream: 1, payload: [0, 0, 0, 0, 1])]
            case .windowUpdate: [.windowUpdate(0, by: 1)]
            case .unknownFrame: [Frame(kind: .unknown)]
            case .reset: [Client.headers(Client.get, stream: stream), .reset(stream)]
            case .malformedRequest: [Client.headers([("x", "y")], stream: stream)]
            case .overflowedWindow:
                [Client.headers(Client.get, stream: stream), .windowUpdate(stream, by: UInt32(Int32.max))]
            }
        }
    }

    @Test("A flood ends its connection with ENHANCE_YOUR_CALM", arguments: Flood.allCases)
    func flood(_ flood: Flood) throws {
        let client = Client()
        var count = 0
        var frames: [Frame] = []
        while client.failure == nil, count < 5000 {
            client.send(flood.unit(count).flatMap(\.bytes))
            frames = client.received()
            count += 1
        }
        #expect(client.failure == .flood(flood.kind))
        let burst = flood.kind == .resets ? 200 : 1000
        #expect(burst - 2...burst + 2 ~= count)
        let last = try #require(frames.last { $0.kind == .goAway })
        #expect(last.number(at: 4) == HTTP2Code.enhanceYourCalm.rawValue)
        #expect(client.server.isFinished)
    }

    @Test("The same frames are accepted at the rate that the limits allow", arguments: Flood.allCases)
    func allowedRate(_ flood: Flood) {
        let client = Client()
        for count in 0..<2000 {
            client.now += flood.kind == .resets ? 20 : 5
            client.send(flood.unit(count).flatMap(\.bytes))
            _ = client.received()
        }
        #expect(client.failure == nil)
    }

    @Test("A flood in one read ends the connection too, and none of its requests is reported")
    func oneRead() {
        let client = Client()
        let frames: [Frame] = (0..<1000).flatMap { Flood.reset.unit($0) }
        client.send(frames.flatMap(\.bytes))
        _ = client.received()
        #expect(client.failure == .flood(.resets) && client.events.isEmpty)
    }

    @Test("Updates of the window that answer sent data are no flood")
    func explainedUpdates() {
        let client = Client()
        client.request(Client.get)
        client.stream(1).write(Array("HTTP/1.1 200 OK\r\n\r\n".utf8).span)
        let piece = Array(repeating: UInt8(0), count: 1000)
        for _ in 0..<10_000 {
            client.stream(1).write(piece.span)
            _ = client.received()
            client.send(Frame.windowUpdate(0, by: 1000), Frame.windowUpdate(1, by: 1000))
        }
        #expect(client.failure == nil && client.stream(1).waiting == 0)
    }

    /// Frames that are errors of the connection, after a request on stream 3 that was answered and one on stream 5 that was
    /// not, and the code that the client must get.
    static let broken: [(name: String, frame: Frame, code: HTTP2Code)] = [
        ("data on the connection", Frame(kind: .data, stream: 0, payload: [1]), .protocolError),
        ("a priority of the connection", Frame(kind: .priority, stream: 0, payload: [0, 0, 0, 0, 1]), .protocolError),
        ("a stream that was left out", Client.headers(Client.get, stream: 1), .protocolError),
        ("a head on a stream that has ended", Client.headers(Client.get, stream: 3), .streamClosed),
        ("a stream of a server", Client.headers(Client.get, stream: 6), .protocolError),
        ("data on a stream that has not begun", Frame(kind: .data, stream: 9, payload: [1]), .protocolError),
    ]

    @Test("Frames that break a rule of the connection end it, and are told as malformed", arguments: broken.map(\.name))
    func brokenRule(_ name: String) throws {
        let sample = try #require(Self.broken.first { $0.name == name })
        let client = Client()
        client.request(Client.get, stream: 3)
        client.answer(3, Array("HTTP/1.1 204 No Content\r\n\r\n".utf8))
        client.request(Client.post, stream: 5, isComplete: false)
        _ = client.received()
        client.send(sample.frame)
        let last = client.received().last
        #expect(last?.kind == .goAway && last?.number(at: 4) == sample.code.rawValue)
        #expect(client.failure == .malformed && client.server.isFinished)
    }

    @Test("What a client has sent before it knew that its stream was reset is ignored")
    func lateFrames() {
        let client = Client()
        client.request(Client.post, isComplete: false)
        client.stream(1).reset(.cancel)
        _ = client.received()
        client.send(Frame(kind: .data, stream: 1, payload: [1]), Client.headers([("x", "y")], stream: 1))
        #expect(client.failure == nil && client.head(client.request(Client.get, stream: 3).first) != nil)
    }

    @Test("Bytes that are no HTTP/2 end the connection")
    func garbage() throws {
        let server = try #require(HTTP2Server(owner: 7, memory: HTTP2Memory(), scheme: "https", limits: HTTP2Limits()))
        #expect(server.receive(Array("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n".utf8).span, now: 0) == .malformed)
    }

    @Test("A budget allows a burst, then its rate, and never saves more than a burst")
    func budget() {
        var budget = FrameBudget(rate: 10, burst: 3)
        func spent() -> Int { (0..<100).prefix { _ in budget.spend() }.count }
        budget.refill(at: 1000)
        #expect(spent() == 3)
        budget.refill(at: 1099)
        #expect(spent() == 0)
        budget.refill(at: 1100)
        #expect(spent() == 1)
        budget.refill(at: 9_000_000)
        #expect(spent() == 3)
    }
}
