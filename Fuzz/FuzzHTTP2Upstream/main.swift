import Foundation
import FuzzDriver
import HTTP1
import HTTP1Checks
import HTTP2

// Gives any bytes to the gateway's end of a connection to an upstream, which has three requests under way. However they are split,
// the same heads arrive, each head is one of HTTP/1.1, and a stream that has ended is told of once.

let requests = [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\n\r\n",
]
let greeting = Array("hello".utf8)

/// What happened on each stream, in order, and whether the connection failed.
func answers(_ bytes: [UInt8], step: Int) -> (told: [String], failed: Bool) {
    let memory = HTTP2Memory()
    guard let client = HTTP2Client(owner: 7, memory: memory, scheme: "https", limits: .ofUpstreams) else {
        preconditionFailure("no memory")
    }
    for (number, request) in requests.enumerated() {
        let stream = client.open()
        let head = Array(request.utf8)
        stream.begin(head.span, hasBody: number == 2)
        if number == 2 { stream.write(greeting.span) }
    }
    _ = client.fill(atLeast: .max)
    var told: [String] = []
    var closed: Set<Int32> = []
    var start = 0
    while start < bytes.count {
        let piece = Array(bytes[start..<min(start + step, bytes.count)])
        start += step
        var failure = client.receive(piece.span, now: 0)
        memory.handleEvents { event in
            switch event {
            case .head(let stream, let range):
                let head = Array(memory.heads[range])
                check(head)
                told.append("\(stream.id) \(String(decoding: head, as: UTF8.self))")
            case .oversizedHead(let stream): stream.reset(.cancel)
            case .body(let stream, let range):
                precondition(range.upperBound <= piece.count, "a body lies outside of what was received")
                precondition(!closed.contains(stream.id), "a body of a stream that has ended")
                stream.consume(range.count)
            case .end(let stream):
                told.append("\(stream.id) end")
                stream.finish()
            case .closed(let stream, let code):
                precondition(closed.insert(stream.id).inserted, "a stream has ended twice")
                told.append("\(stream.id) closed \(code.rawValue)")
                stream.release()
            case .trailers, .taken: break
            }
        }
        failure = client.fill(atLeast: .max) ?? failure
        memory.outgoing.removeAll(keepingCapacity: true)
        if failure != nil || client.isFinished { return (told, true) }
    }
    return (told, false)
}

/// The head is one of HTTP/1.1, as a whole, and parsing it does not trap.
func check(_ head: [UInt8]) {
    precondition(wholeHead(head, .response, wideLimits) == head, "a head has no end, or has another one inside")
    var parsed = ResponseHead()
    _ = parsed.parse(head.span, answering: .get, limits: wideLimits)
}

func take(_ bytes: [UInt8]) {
    let settings: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0]
    let whole = answers(settings + bytes, step: settings.count + max(bytes.count, 1))
    let split = answers(settings + bytes, step: 1 + bytes.count % 13)
    let heads = [whole, split].map { $0.told.filter { $0.contains("HTTP/1.1") } }
    // After a failure, bytes that arrived together with the faulty ones count for nothing.
    precondition(whole.failed || split.failed || heads[0] == heads[1], "other pieces give other responses")
}

exit(fuzz(take))
