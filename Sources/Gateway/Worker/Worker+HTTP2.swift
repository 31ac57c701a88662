import HTTP2

/// Connections of HTTP/2. Each stream is a client of its own: it has one exchange, and the code for connections of HTTP/1.1
/// reads its request and sends its response.
extension Worker {
    /// How many bytes of frames are sent at once.
    static let bytesAtOnce = 64 << 10
    /// How long a client may still begin streams after it was told that the connection will end, in milliseconds (RFC 9113
    /// section 6.8).
    private static let drainMilliseconds: Int64 = 1000

    /// The connection of a client: the client itself, or the connection that carries its stream.
    func connection(of id: SlotID) -> SlotID { clients[id].isStream ? clients[id].carrier : id }

    /// Begins HTTP/2 on a connection. Returns false if there is no memory for it.
    func beginMultiplexing(_ id: SlotID) -> Bool {
        guard
            let http2 = HTTP2Server(
                owner: id.number, memory: memory.http2, scheme: clients[id].isTLS ? "https" : "http",
                limits: settings.http2)
        else { return false }
        metrics.add(.http2Connections, 1)
        clients[id].http2 = http2
        clients[id].phase = .multiplexed
        if isDraining { drainStreams(of: id) }
        return true
    }

    // MARK: Receiving

    /// Processes the frames in `memory.plain`.
    func receiveFrames(from id: SlotID) {
        guard let http2 = clients[id].http2 else { return }
        if let failure = http2.receive(memory.plain.bytes.span, now: clock.milliseconds) {
            return endMultiplexed(id, after: failure)
        }
        handleEvents(of: id)
        guard clients[id].isInHead != http2.isInHead else { return }
        clients[id].headDeadline = http2.isInHead ? clock.milliseconds + settings.headMilliseconds : .max
        renewDeadline(of: id)
    }

    /// Handles what a connection of HTTP/2 has reported.
    private func handleEvents(of id: SlotID) {
        memory.plain.keeping { memory.http2.handleEvents { handle($0, on: id) } }
        let resets = memory.http2.takeResets()
        metrics.add(.http2ResetsByClient, resets.received)
        metrics.add(.http2ResetsByGateway, resets.sent)
    }

    private func handle(_ event: HTTP2Event, on connection: SlotID) {
        switch event {
        case .head(let stream, let range):
            guard let client = beginStream(stream, on: connection) else { return }
            memory.http2.heads.lendingBytes { beginExchange($0[range], from: client) }
        case .oversizedHead(let stream):
            guard let client = beginStream(stream, on: connection) else { return }
            clients[client].requests &+= 1
            metrics.add(.requests, 1)
            refuse(431, "header fields too large", client)
        case .body(let stream, let range): receive(memory.plain.bytes[range], of: stream)
        case .trailers(let stream, let range):
            guard let client = client(of: stream), !clients[client].exchange.isNone else { return }
            let exchange = clients[client].exchange
            guard exchanges[exchange].sendsTrailers else { return }
            memory.http2.heads.lendingBytes { exchanges[exchange].requestTrailers.append($0[range]) }
        case .end(let stream):
            guard let client = client(of: stream) else { return }
            clients[client].transport.noteEnd()
            pumpClient(client)
        case .taken(let stream):
            if let client = client(of: stream) { clientFlushed(client) }
        case .closed(let stream, _):
            guard let client = client(of: stream) else { return stream.release() }
            clients[client].phase == .closing && stream.isComplete ? close(client) : abort(client)
        }
    }

    // MARK: Streams

    private func client(of stream: HTTP2Stream) -> SlotID? {
        let id = SlotID(number: stream.owner)
        return clients.contains(id) ? id : nil
    }

    private func beginStream(_ stream: HTTP2Stream, on connection: SlotID) -> SlotID? {
        let client = ClientConnection(stream, on: clients[connection], connection, at: clock.nanoseconds)
        guard let id = clients.insert(client) else {
            stream.reset(.refusedStream)
            return nil
        }
        metrics.add(.http2Requests, 1)
        stream.owner = id.number
        clients[connection].streams += 1
        renewDeadline(of: connection)
        return id
    }

    /// Processes a part of a request's body. What can't be processed yet stays in the client's inbox, and counts against the
    /// stream's window until then.
    private func receive(_ bytes: Bytes, of stream: HTTP2Stream) {
        guard let id = client(of: stream), clients[id].phase != .closing else { return stream.consume(bytes.count) }
        let before = clients[id].inbox.count
        receive(bytes, from: id)
        guard before == 0 else { return }
        let isGone = !clients.contains(id) || clients[id].phase == .closing
        stream.consume(bytes.count - (isGone ? 0 : clients[id].inbox.count))
    }

    /// Ends a stream whose response is complete. The client still gets the bytes that wait.
    func endStream(_ id: SlotID) {
        clients[id].transport.stream?.consume(clients[id].inbox.count)
        clients[id].inbox.clear()
        clients[id].transport.finishWriting(memory.wire)
        clients[id].phase = .closing
        setDeadline(client: id, inMilliseconds: settings.bodyProgressMilliseconds)
    }

    /// Removes a stream. If it has not ended yet, it is reset.
    func closeStream(_ id: SlotID) {
        let client = clients.remove(id)
        client.transport.stream?.consume(client.inbox.count)
        client.transport.stream?.reset(client.phase == .closing ? .cancel : .internalError)
        client.transport.stream?.release()
        metrics.add(.http2StreamsClosed, 1)
        let connection = client.carrier
        clients[connection].streams -= 1
        guard clients[connection].streams == 0, clients[connection].phase == .multiplexed else { return }
        renewDeadline(of: connection)
    }

    /// Ends all exchanges of a connection that has ended.
    func abortStreams(of id: SlotID) {
        guard let http2 = clients[id].http2 else { return }
        for stream in http2.streams {
            if let client = client(of: stream) { abort(client) }
        }
        clients[id].http2 = nil
        metrics.add(.http2ConnectionsClosed, 1)
    }

    // MARK: Sending

    /// A part of a body that is at least this large is sent at once, as the payload of a whole frame.
    static let largePart = 16 << 10

    /// Whether `sendAtOnce` may be called for a client.
    func maySendAtOnce(to client: SlotID) -> Bool {
        clients[client].isStream && clients[client].transport.isFlushed && !memory.http2.isHandlingEvents
            && clients[clients[client].carrier].transport.isFlushed
    }

    /// Sends a large part of a response while it is in the processor's cache. Other parts are copied, and wait for the end
    /// of the round, so that the frames of many streams leave together.
    ///
    /// - Returns: False if the connection is broken, or the stream has ended. The client and its exchange then no longer
    ///   exist.
    func sendAtOnce(_ bytes: Bytes, to client: SlotID) -> Bool {
        let id = clients[client].carrier
        guard let http2 = clients[id].http2 else { return false }
        var failure: HTTP2Failure?
        clients[client].transport.stream?.write(bytes.span) { failure = http2.fill(atLeast: bytes.count) }
        guard memory.http2.output.lendingBytes({ $0.isEmpty || send($0, to: id) }) else { return false }
        handleEvents(of: id)
        if let failure { endMultiplexed(id, after: failure) }
        return clients.contains(client)
    }

    /// Sends the frames of all connections that have some. Sending frames to upstreams can cause frames to clients, and
    /// the reverse, so this is repeated until no connection has any.
    func sendFrames() {
        while !memory.http2.outgoing.isEmpty || !memory.upstreamHTTP2.outgoing.isEmpty {
            while let owner = memory.upstreamHTTP2.outgoing.popLast() {
                let id = SlotID(number: owner)
                if upstreams.contains(id), upstreams[id].phase == .multiplexed { sendFrames(toUpstream: id) }
            }
            while let owner = memory.http2.outgoing.popLast() {
                let id = SlotID(number: owner)
                if clients.contains(id), clients[id].phase == .multiplexed { sendFrames(to: id) }
            }
        }
    }

    /// Sends a connection's frames, as long as its client takes them.
    func sendFrames(to id: SlotID) {
        guard let http2 = clients[id].http2 else { return }
        while clients[id].transport.isFlushed {
            let failure = http2.fill(atLeast: Self.bytesAtOnce)
            let count = memory.http2.output.count
            if count > 0, !memory.http2.output.lendingBytes({ send($0, to: id) }) { return }
            handleEvents(of: id)
            if let failure { return endMultiplexed(id, after: failure) }
            if count < Self.bytesAtOnce { break }
        }
        if http2.isFinished { endMultiplexed(id) }
    }

    /// Sends frames to a client. Returns false if the connection is broken. The client and its streams then no longer exist.
    private func send(_ bytes: Bytes, to id: SlotID) -> Bool {
        guard clients[id].transport.send(bytes, memory.wire) == nil else {
            abort(id)
            return false
        }
        if !clients[id].transport.isFlushed {
            setDeadline(client: id, inMilliseconds: settings.bodyProgressMilliseconds)
        }
        return true
    }

    /// Called when the last bytes that waited for a client were sent.
    func multiplexedClientFlushed(_ id: SlotID) {
        renewDeadline(of: id)
        sendFrames(to: id)
    }

    // MARK: The end of a connection

    /// Sets the deadline of a connection: for the end of a head, for the refusal of new streams, or for the next stream. While
    /// streams are open, they have their own deadlines. While bytes wait to be sent, the deadline is for these bytes, and
    /// stays.
    private func renewDeadline(of id: SlotID) {
        guard clients[id].transport.isFlushed else { return }
        let refusal = clients[id].bodyDeadline > 0 ? clients[id].bodyDeadline : .max
        let next = min(clients[id].headDeadline, refusal)
        if next != .max {
            setDeadline(client: id, inMilliseconds: next - clock.milliseconds)
        } else if clients[id].streams == 0 {
            setDeadline(client: id, inMilliseconds: idleMilliseconds)
        } else {
            clients[id].deadline.clear()
        }
    }

    /// Called when the deadline of a connection is over (`renewDeadline`).
    func multiplexedClientTimedOut(_ id: SlotID) {
        guard clients[id].transport.isFlushed else { return cutOff(id) }
        if clients[id].headDeadline <= clock.milliseconds {
            metrics.add(.clientTimeouts, 1)
            return endMultiplexed(id)
        }
        if 1...clock.milliseconds ~= clients[id].bodyDeadline {
            clients[id].bodyDeadline = 0
            clients[id].http2?.refuseNewStreams()
        }
        clients[id].streams == 0 ? endMultiplexed(id) : renewDeadline(of: id)
    }

    /// Tells a client that the connection will end. After a moment its new streams are refused.
    func drainStreams(of id: SlotID) {
        clients[id].http2?.announceEnd()
        clients[id].bodyDeadline = clock.milliseconds + Self.drainMilliseconds
        renewDeadline(of: id)
    }

    /// Ends a connection, with the streams that it still has.
    func endMultiplexed(_ id: SlotID) {
        clients[id].http2?.terminate(.noError)
        finishMultiplexed(id)
    }

    /// Counts and reports why a connection can't continue, and ends it with all its streams.
    private func endMultiplexed(_ id: SlotID, after failure: HTTP2Failure) {
        switch failure {
        case .flood(.resets):
            metrics.add(.http2FloodsOfResets, 1)
            report(Shortage.resets, client: clients[id].peer)
        case .flood(.controlFrames):
            metrics.add(.http2FloodsOfFrames, 1)
            report(Shortage.controlFrames, client: clients[id].peer)
        case .malformed: metrics.add(.http2Malformed, 1)
        case .outOfMemory: metrics.add(.http2WithoutMemory, 1)
        }
        finishMultiplexed(id)
    }

    /// Sends the last frames, and closes the connection.
    private func finishMultiplexed(_ id: SlotID) {
        if let http2 = clients[id].http2 {
            _ = http2.fill(atLeast: .max)
            abortStreams(of: id)
            let isSent = memory.http2.output.lendingBytes { clients[id].transport.send($0, memory.wire) == nil }
            guard isSent else { return abort(id) }
        }
        closeWhenFlushed(id)
    }
}
