import Foundation
import FuzzDriver
import HTTP1
import HTTP1Checks
import HTTP2

// Gives any bytes to a connection of HTTP/2, behind the preface. However they are split, the same requests begin, and each head
// has one line for each field. Each request is answered, so that nghttp2 writes too.

let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + [0, 0, 0, 4, 0, 0, 0, 0, 0]
let greeting = Array("hello".utf8)
let answer = Array("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\n".utf8)

/// The heads of all requests, in order, and whether the connection failed.
func requests(_ bytes: [UInt8], step: Int) -> (heads: [String], failed: Bool) {
    let memory = HTTP2Memory()
    guard let server = HTTP2Server(owner: 7, memory: memory, scheme: "https", limits: HTTP2Limits()) else {
        preconditionFailure("no memory")
    }
    var heads: [String] = []
    var start = 0
    while start < bytes.count {
        let piece = Array(bytes[start..<min(start + step, bytes.count)])
        start += step
        var failure = server.receive(piece.span, now: 0)
        memory.handleEvents { event in
            switch event {
            case .head(let stream, let range):
                let isComplete = !stream.hasBody
                let head = memory.heads[range]
                check(Array(head))
                heads.append("\(stream.id) \(isComplete) \(String(decoding: head, as: UTF8.self))")
                stream.write(answer.span)
                stream.write(greeting.span)
                if isComplete { stream.finish() }
            case .oversizedHead(let stream): stream.reset(.cancel)
            case .body(let stream, let range):
                precondition(range.upperBound <= piece.count, "a body lies outside of what was received")
                stream.consume(range.count)
            case .end(let stream): stream.finish()
            case .closed(let stream, _): stream.release()
            case .trailers, .taken: break
            }
        }
        failure = server.fill(atLeast: .max) ?? failure
        memory.outgoing.removeAll(keepingCapacity: true)
        if failure != nil || server.isFinished { return (heads, true) }
    }
    return (heads, false)
}

/// The head is one of HTTP/1.1, as a whole, and parsing it does not trap.
func check(_ head: [UInt8]) {
    precondition(wholeHead(head, .request, wideLimits) == head, "a head has no end, or has another one inside")
    var parsed = RequestHead()
    _ = parsed.parse(head.span, limits: wideLimits)
}

func take(_ bytes: [UInt8]) {
    let whole = requests(preface + bytes, step: preface.count + max(bytes.count, 1))
    let split = requests(preface + bytes, step: 1 + bytes.count % 13)
    // After a failure, bytes that arrived together with the faulty ones count for nothing.
    precondition(whole.failed || split.failed || whole.heads == split.heads, "other pieces give other requests")
}

exit(fuzz(take))
