/// A request on an HTTP/2 connection, and its response.
///
/// The caller writes what a peer of HTTP/1.1 would get, but a body without chunks.
package final class HTTP2Stream {
    /// The stream's identifier. 0 while a stream to an upstream has not begun.
    package internal(set) var id: Int32
    /// A number by which the caller knows the stream.
    package var owner = UInt64.max
    private weak var connection: HTTP2Connection?
    private(set) var isHEAD: Bool
    /// Whether the request is an extended CONNECT (RFC 8441). The final head with status 101 then becomes one with status
    /// 200, and what follows belongs to the other protocol.
    package let isConnect: Bool
    /// Whether a body may follow the request's head.
    package let hasBody: Bool
    /// The place in the connection's list of streams.
    var place = 0
    var body = StreamBody()
    /// The lines of the trailers to send.
    private(set) var trailers: [UInt8] = []
    /// Whether the final head of the message to send was written.
    private var hasHead = false
    /// Whether the final head of the response was received. Only for streams to upstreams.
    var hasReceivedHead = false
    /// Whether the whole message of the peer was received.
    package internal(set) var hasReceivedEnd = false
    /// Whether the stream exists. A stream ends when both sides have ended, or by a reset.
    package internal(set) var isOpen = true
    /// Whether the whole response was sent.
    package internal(set) var isComplete = false
    /// Whether the message to send has a body.
    private var sendsBody = true
    /// `moved` of the body at the last call of `newlyTaken`.
    private var takenBefore: Int64 = 0

    init(_ id: Int32, of connection: HTTP2Server, _ request: RequestText, isComplete: Bool) {
        (self.id, self.connection, isHEAD, isConnect) = (id, connection, request.isHEAD, request.isConnect)
        hasBody = !isComplete && !request.isConnect
    }

    /// A stream to an upstream.
    init(of connection: HTTP2Client) {
        (id, self.connection, isHEAD, isConnect, hasBody) = (0, connection, false, false, true)
    }

    /// How many bytes of the body wait until the peer can take them.
    package var waiting: Int { body.count }

    /// Sends a request to an upstream: a head in the form of HTTP/1.1, whose first field is Host. With `hasBody`, `write`
    /// sends its body and `finish` ends it.
    package func begin(_ head: Span<UInt8>, hasBody: Bool) {
        isHEAD = head.count > 5 && head.extracting(0..<5).equals("HEAD ")
        (hasHead, sendsBody) = (true, hasBody)
        (connection as? HTTP2Client)?.begin(self, head, hasBody: hasBody)
    }

    /// Sends a part of the gateway's message. To a client, these are heads of responses, each in one piece, and after
    /// the final head bytes of its body. To an upstream, these are bytes of the request's body, since `begin` sends the
    /// head. Does nothing if the stream has ended.
    ///
    /// - Parameter fill: Must call `HTTP2Connection.fill` of the stream's connection, if not nil. What the call writes into
    ///   frames is not copied into the stream's memory first. So no other bytes of the body may wait.
    package func write(_ bytes: Span<UInt8>, fill: (() -> Void)? = nil) {
        guard isOpen, let connection else { return }
        var offset = 0
        while !hasHead, offset < bytes.count {
            let head = connection.memory.fields.readResponse(bytes.extracting(offset...))
            offset += head.count
            hasHead = !head.isInterim
            sendsBody = !isHEAD && head.hasBody
            connection.submit(head, on: self, hasBody: sendsBody)
        }
        let rest = bytes.extracting(offset...)
        guard sendsBody, !rest.isEmpty else {
            fill?()
            return
        }
        guard let fill else {
            body.append(rest)
            return connection.resume(id)
        }
        // This is safe, since `keepLent` copies what is left before the closure returns.
        unsafe rest.withUnsafeBufferPointer {
            unsafe body.lend($0)
            connection.resume(id)
            fill()
            body.keepLent()
        }
    }

    /// Sets the trailers to send, as field lines. `finish` sends them.
    package func writeTrailers(_ lines: Span<UInt8>) { trailers.append(lines) }

    /// Sends the trailers. Called when the last bytes of the body are being sent.
    func submitTrailers() { connection?.submitTrailers(trailers, of: id) }

    /// Ends the message: no bytes follow. A client that still sends its request's body is told to stop. If no head was
    /// written, the stream is reset.
    package func finish() {
        guard isOpen, !body.isEnding else { return }
        guard hasHead else { return reset(.internalError) }
        body.isEnding = true
        if sendsBody { connection?.resume(id) }
    }

    /// Ends the stream at once. Does nothing if the stream has ended.
    package func reset(_ code: HTTP2Code) {
        if isOpen, id > 0 { connection?.reset(id, code) }
    }

    /// Removes the stream from its connection's list. Each stream must be released, after it was closed or reset.
    package func release() { connection?.remove(self) }

    /// Lets the peer send more of its body. Called when the caller has taken `count` bytes that were received.
    package func consume(_ count: Int) { connection?.consume(count, of: id) }

    /// How many bytes of the body were sent since the last call.
    package func newlyTaken() -> Int64 {
        defer { takenBefore = body.moved }
        return body.moved - takenBefore
    }
}
