/// A request on a client's HTTP/2 connection, and its response.
///
/// The caller writes what a client of HTTP/1.1 would get, but a body without chunks.
package final class HTTP2Stream {
    package let id: Int32
    /// A number by which the caller knows the stream.
    package var owner = UInt64.max
    private weak var connection: HTTP2Connection?
    /// Whether the request's method is HEAD.
    private let isHEAD: Bool
    /// Whether the request is an extended CONNECT (RFC 8441). The final head with status 101 then becomes one with status
    /// 200, and what follows belongs to the other protocol.
    package let isConnect: Bool
    /// Whether a body may follow the request's head.
    package let hasBody: Bool
    /// The place in the connection's list of streams.
    var place = 0
    var body = StreamBody()
    /// The lines of the response's trailers.
    private(set) var trailers: [UInt8] = []
    private var hasHead = false
    /// Whether the stream exists. A stream ends when both sides have ended, or by a reset.
    package internal(set) var isOpen = true
    /// Whether the whole response was sent.
    package internal(set) var isComplete = false
    /// Whether the response has a body.
    private var responseHasBody = true
    /// `moved` of the body at the last call of `newlyTaken`.
    private var takenBefore: Int64 = 0

    init(_ id: Int32, of connection: HTTP2Server, _ request: RequestText, isComplete: Bool) {
        (self.id, self.connection, isHEAD, isConnect) = (id, connection, request.isHEAD, request.isConnect)
        hasBody = !isComplete && !request.isConnect
    }

    /// How many bytes of the response's body wait until the client can take them.
    package var waiting: Int { body.count }

    /// Sends heads of responses, and after the final one bytes of its body. A head comes in one piece. Does nothing if the
    /// stream has ended.
    package func write(_ bytes: Span<UInt8>) {
        guard isOpen, let connection else { return }
        var offset = 0
        while !hasHead, offset < bytes.count {
            let head = connection.memory.fields.read(bytes.extracting(offset...))
            offset += head.count
            hasHead = !head.isInterim
            responseHasBody = !isHEAD && head.hasBody
            connection.submit(head, on: self, hasBody: responseHasBody)
        }
        guard responseHasBody, offset < bytes.count else { return }
        body.append(bytes.extracting(offset...))
        connection.resume(id)
    }

    /// Sets the response's trailers, as field lines. `finish` sends them.
    package func writeTrailers(_ lines: Span<UInt8>) { trailers.append(lines) }

    /// Sends the trailers. Called when the last bytes of the body are being sent.
    func submitTrailers() { connection?.submitTrailers(trailers, of: id) }

    /// Ends the response: no bytes follow. A client that still sends its request's body is told to stop. If no head was
    /// written, the stream is reset.
    package func finish() {
        guard isOpen, !body.isEnding else { return }
        guard hasHead else { return reset(.internalError) }
        body.isEnding = true
        if responseHasBody { connection?.resume(id) }
    }

    /// Ends the stream at once. Does nothing if the stream has ended.
    package func reset(_ code: HTTP2Code) {
        if isOpen { connection?.reset(id, code) }
    }

    /// Removes the stream from its connection's list. Each stream must be released, after it was closed or reset.
    package func release() { connection?.remove(self) }

    /// Lets the client send more of its request's body. Called when the caller has taken bytes that were received.
    package func consume(_ count: Int) { connection?.consume(count, of: id) }

    /// How many bytes of the body were sent since the last call.
    package func newlyTaken() -> Int64 {
        defer { takenBefore = body.moved }
        return body.moved - takenBefore
    }
}
