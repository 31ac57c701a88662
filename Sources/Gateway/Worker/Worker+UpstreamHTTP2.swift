import HTTP1
import HTTP2
import PKI

/// Connections of HTTP/2 to upstreams. Each stream is an `UpstreamConnection` of its own, which carries one exchange.
/// So the code for connections of HTTP/1.1 sends requests and passes responses on here too.
extension Worker {
    /// If a connection without streams receives nothing for this time, in milliseconds, the gateway sends a PING.
    private static let quietMilliseconds: Int64 = 30_000
    /// How long the upstream may take to answer a PING, in milliseconds.
    private static let pingMilliseconds: Int64 = 5_000

    // MARK: Connections

    /// A connection that may get another stream, to the upstream's address with the index `turn`. It may still be connecting.
    func carrier(of pool: SlotID, to turn: Int?) -> SlotID? {
        // All connections of a pool with one address are to that address.
        let isAny = tables.pools[pool].addresses.count < 2
        return tables.pools[pool].carriers.first { id in
            upstreams[id].http2?.mayOpen ?? false
                && (isAny || turn.map { upstreams[id].address == tables.pools[pool].addresses[$0] } ?? true)
        }
    }

    /// Prepares a new connection for streams. Returns false if there is no memory; the connection is then closed.
    func beginHTTP2(on id: SlotID) -> Bool {
        let pool = upstreams[id].pool
        let isTLS = tables.pools[pool].definition.serverName != nil
        guard
            let http2 = HTTP2Client(
                owner: id.number, memory: memory.upstreamHTTP2, scheme: isTLS ? "https" : "http", limits: .ofUpstreams)
        else {
            close(upstream: id)
            return false
        }
        upstreams[id].http2 = http2
        upstreams[id].needsProof = false
        tables.pools[pool].carriers.append(id)
        return true
    }

    /// Called when a connection is ready for frames. Requests wait until the upstream's settings have arrived. Before
    /// that, the gateway does not know how many streams the upstream accepts.
    ///
    /// - Parameter received: What has arrived behind the TLS handshake. The bytes are in `memory.plain`.
    func beginMultiplexing(upstream id: SlotID, after received: Transport.Received = .nothing) {
        if let speaksHTTP2 = upstreams[id].transport.tls?.speaksHTTP2, !speaksHTTP2 {
            return upstreamBroke(id, "it does not speak HTTP/2 over TLS (ALPN)", .tls)
        }
        metrics.add(.http2UpstreamConnections, 1)
        upstreams[id].phase = .multiplexed
        if case .bytes = received, memory.plain.count > 0 { takeFrames(fromUpstream: id) }
        guard upstreams.contains(id) else { return }
        switch received {
        // The events of another connection may be under way, so the frames are sent later.
        case .nothing, .bytes: memory.upstreamHTTP2.outgoing.append(id.number)
        case .ended, .truncated: upstreamBroke(id, "the connection was closed")
        case .failed(let failure): upstreamBroke(id, failure.reason)
        }
    }

    /// Called when the upstream's settings have arrived. The requests that have waited are sent. If there are more of
    /// them than the upstream accepts at once, the other requests get another connection.
    private func beginStreams(of id: SlotID) {
        guard let http2 = upstreams[id].http2 else { return }
        (upstreams[id].isReady, upstreams[id].idleSince) = (true, clock.milliseconds)
        let streams = http2.streams.compactMap(stream)
        let limit = http2.streamLimit
        for stream in streams.dropFirst(limit) {
            let exchange = upstreams[stream].exchange
            exchanges[exchange].upstream = .none
            close(upstream: stream)
            connect(exchange)
        }
        for stream in streams.prefix(limit) where upstreams.contains(stream) {
            upstreams[stream].phase = .active
            sendRequest(upstreams[stream].exchange)
        }
        renewDeadline(ofCarrier: id)
    }

    /// Handles a connection that has broken, or could not be established: each of its exchanges is tried elsewhere, or
    /// fails.
    func carrierBroke(_ id: SlotID, _ reason: String, _ fault: UpstreamFault, timedOut: Bool) {
        let streams = upstreams[id].http2?.streams.compactMap(stream) ?? []
        close(upstream: id)
        for stream in streams where upstreams.contains(stream) {
            upstreamBroke(stream, reason, fault, timedOut: timedOut)
        }
    }

    /// Called when a connection closes.
    func forget(carrier id: SlotID) {
        removeFromPool(id)
        upstreams[id].http2 = nil
        if upstreams[id].phase == .multiplexed { metrics.add(.http2UpstreamConnectionsClosed, 1) }
    }

    private func removeFromPool(_ id: SlotID) {
        let pool = upstreams[id].pool
        // A pool whose upstream is gone ends with its last exchange.
        if tables.pools.contains(pool) { tables.pools[pool].carriers.removeAll { $0 == id } }
    }

    /// Gives a connection no more streams, and closes it when its last stream has ended.
    func endWhenIdle(_ id: SlotID) {
        upstreams[id].isOutdated = true
        removeFromPool(id)
        guard upstreams[id].streams == 0 else { return }
        // The events of another connection may be under way, so the last frames are sent later.
        upstreams[id].phase == .multiplexed ? enqueue(upstream: id) : close(upstream: id)
    }

    /// Closes a connection without streams, and tells the upstream so. No events may be under way.
    func end(carrier id: SlotID) {
        upstreams[id].http2?.terminate(.noError)
        sendLastFrames(of: id)
        close(upstream: id)
    }

    /// Sends the frames of a connection that ends, but for those that the socket does not take at once.
    private func sendLastFrames(of id: SlotID) {
        guard upstreams[id].transport.isFlushed, let http2 = upstreams[id].http2 else { return }
        _ = http2.fill(atLeast: .max)
        memory.upstreamHTTP2.output.lendingBytes { _ = upstreams[id].transport.send($0, memory.wire) }
    }

    private func renewDeadline(ofCarrier id: SlotID) {
        if upstreams[id].awaitsPing { return setDeadline(upstream: id, inMilliseconds: Self.pingMilliseconds) }
        guard upstreams[id].streams == 0 else { return upstreams[id].deadline.clear() }
        let next = min(
            max(upstreams[id].heardAt, upstreams[id].idleSince) + Self.quietMilliseconds,
            upstreams[id].idleSince + UpstreamPool.idleMilliseconds)
        setDeadline(upstream: id, inMilliseconds: max(1, next - clock.milliseconds))
    }

    /// Called when the deadline of a connection is over. Either the upstream has sent no settings or no answer to a
    /// PING in time, or the connection has had no stream for long, or a PING is due.
    func carrierTimedOut(_ id: SlotID) {
        guard upstreams[id].isReady else {
            return upstreamBroke(id, "it sent no settings of HTTP/2", .timeout, timedOut: true)
        }
        if upstreams[id].awaitsPing { return upstreamBroke(id, "it did not answer a PING", .closed) }
        guard upstreams[id].streams == 0 else { return renewDeadline(ofCarrier: id) }
        if clock.milliseconds >= upstreams[id].idleSince + UpstreamPool.idleMilliseconds { return endWhenIdle(id) }
        upstreams[id].awaitsPing = true
        upstreams[id].http2?.ping()
        renewDeadline(ofCarrier: id)
    }

    // MARK: Streams

    /// The upstream connection of a stream. Nil if the stream was closed.
    func stream(ofUpstream stream: HTTP2Stream) -> SlotID? {
        let id = SlotID(number: stream.owner)
        return upstreams.contains(id) ? id : nil
    }

    /// Gets a stream for an exchange. The request is sent now if the connection is ready, and otherwise when it is.
    func beginStream(_ exchange: SlotID, on carrier: SlotID) {
        guard let http2 = upstreams[carrier].http2 else { return }
        let isReady = upstreams[carrier].isReady
        let stream = http2.open()
        var connection = UpstreamConnection(
            transport: Transport(stream: stream), pool: upstreams[carrier].pool, address: upstreams[carrier].address,
            openedAt: clock.milliseconds, phase: isReady ? .active : .connecting, exchange: exchange)
        connection.carrier = carrier
        connection.needsProof = false
        connection.isReused = upstreams[carrier].responses > 0
        guard let id = upstreams.insert(connection) else {
            stream.release()
            return answer(exchange, 503)
        }
        stream.owner = id.number
        upstreams[carrier].streams += 1
        exchanges[exchange].upstream = id
        exchanges[exchange].address = upstreams[carrier].addressIndex
        guard isReady else { return }
        renewDeadline(ofCarrier: carrier)
        if upstreams[carrier].streams > 1 || upstreams[carrier].responses > 0 { metrics.add(.upstreamReuses, 1) }
        sendRequest(exchange)
    }

    /// Writes a request on its stream, as far as it has arrived.
    func sendOnStream(_ exchange: SlotID) {
        let request = exchanges[exchange].request.bytes
        let (host, end) = (exchanges[exchange].hostOffset, exchanges[exchange].headBytes)
        memory.output.clear()
        memory.output.append(request[0..<host])
        if host > 0 { memory.output.append(tables.pools[exchanges[exchange].pool].definition.authority) }
        memory.output.append(request[host..<end])
        let stream = upstreams[exchanges[exchange].upstream].transport.stream
        let isComplete = exchanges[exchange].isRequestComplete
        let hasBody = !isComplete || request.count > end || !exchanges[exchange].requestTrailers.isEmpty
        metrics.add(.http2UpstreamRequests, 1)
        stream?.begin(memory.output.bytes.span, hasBody: hasBody)
        if request.count > end { stream?.write(request.from(end).span) }
        if isComplete { endRequest(exchange) }
    }

    /// Ends a request on its stream, with the trailers that may be passed on.
    func endRequest(_ exchange: SlotID) {
        let id = exchanges[exchange].upstream
        if !exchanges[exchange].requestTrailers.isEmpty {
            memory.output.clear()
            writeRequestTrailers(exchange)
            upstreams[id].transport.stream?.writeTrailers(memory.output.bytes.span)
        }
        upstreams[id].transport.finishWriting(memory.wire)
    }

    /// Closes a stream. If it has not ended yet, it is reset, so the upstream can stop its work.
    func closeStream(upstream id: SlotID) {
        let connection = upstreams.remove(id)
        connection.transport.stream?.reset(.cancel)
        connection.transport.stream?.release()
        let carrier = connection.carrier
        guard upstreams.contains(carrier) else { return }
        upstreams[carrier].streams -= 1
        guard upstreams[carrier].streams == 0, upstreams[carrier].isReady else { return }
        upstreams[carrier].idleSince = clock.milliseconds
        renewDeadline(ofCarrier: carrier)
        // The connection's frames may be in use, so it can't close now.
        if mustEnd(carrier) { enqueue(upstream: carrier) }
    }

    /// Whether a connection without streams must close.
    func mustEnd(_ carrier: SlotID) -> Bool {
        guard upstreams[carrier].streams == 0 else { return false }
        return upstreams[carrier].isOutdated || isDraining || !tables.pools.contains(upstreams[carrier].pool)
            || upstreams[carrier].http2?.isEnding ?? true
    }

    // MARK: Receiving

    /// Reads frames once.
    func receiveFrames(fromUpstream id: SlotID) {
        switch upstreams[id].transport.receive(memory, second: clock.seconds) {
        case .nothing: return
        case .bytes:
            if memory.plain.count > 0 { takeFrames(fromUpstream: id) }
        case .ended, .truncated: upstreamBroke(id, "the connection was closed")
        case .failed(let failure):
            noteBrokenTLS(failure)
            upstreamBroke(id, failure.reason)
        }
    }

    /// Processes the frames in `memory.plain`.
    private func takeFrames(fromUpstream id: SlotID) {
        guard let http2 = upstreams[id].http2 else { return }
        upstreams[id].heardAt = clock.milliseconds
        if upstreams[id].awaitsPing {
            upstreams[id].awaitsPing = false
            renewDeadline(ofCarrier: id)
        }
        let failure = http2.receive(memory.plain.bytes.span, now: clock.milliseconds)
        handleEvents(ofUpstream: id)
        guard upstreams.contains(id) else { return }
        if let failure { return end(carrier: id, after: failure) }
        if http2.knowsPeer, !upstreams[id].isReady { beginStreams(of: id) }
        if mustEnd(id) { enqueue(upstream: id) }
    }

    /// Ends a connection that can't continue, and tells the upstream why.
    private func end(carrier id: SlotID, after failure: HTTP2Failure) {
        sendLastFrames(of: id)
        switch failure {
        case .flood: upstreamBroke(id, "it sent too many frames that carry nothing", .malformed)
        case .malformed: upstreamBroke(id, "its frames break the rules of HTTP/2", .malformed)
        case .outOfMemory: upstreamBroke(id, "there is no memory for its frames")
        }
    }

    /// Handles what a connection has reported.
    private func handleEvents(ofUpstream id: SlotID) {
        memory.plain.keeping { memory.upstreamHTTP2.handleEvents { handle($0, ofUpstream: id) } }
        let resets = memory.upstreamHTTP2.takeResets()
        metrics.add(.http2ResetsByUpstream, resets.received)
        metrics.add(.http2ResetsOfUpstream, resets.sent)
    }

    private func handle(_ event: HTTP2Event, ofUpstream carrier: SlotID) {
        switch event {
        case .head(let stream, let range):
            guard let id = self.stream(ofUpstream: stream) else { return }
            if upstreams.contains(carrier) { upstreams[carrier].responses &+= 1 }
            let exchange = upstreams[id].exchange
            exchanges[exchange].hasResponseBytes = true
            memory.upstreamHTTP2.heads.lendingBytes { _ = readHeads($0[range], exchange, id) }
        case .oversizedHead(let stream):
            guard let id = self.stream(ofUpstream: stream) else { return }
            upstreamBroke(id, "its answer's head is too large", .malformed)
        case .body(let stream, let range):
            guard let id = self.stream(ofUpstream: stream) else { return stream.consume(range.count) }
            receiveBody(memory.plain.bytes[range], of: id)
        case .trailers(let stream, let range):
            guard let id = self.stream(ofUpstream: stream) else { return }
            let exchange = upstreams[id].exchange
            memory.upstreamHTTP2.heads.lendingBytes { exchanges[exchange].responseTrailers.append($0[range]) }
        case .end(let stream):
            guard let id = self.stream(ofUpstream: stream) else { return }
            upstreams[id].transport.noteEnd()
            // What waits for the client would go through `memory.plain`, where the next events' bytes are.
            upstreams[id].inbox.isEmpty ? pumpUpstream(id) : enqueue(upstream: id)
        case .taken(let stream):
            if let id = self.stream(ofUpstream: stream) { upstreamFlushed(id) }
        case .closed(let stream, let code):
            guard let id = self.stream(ofUpstream: stream) else { return stream.release() }
            streamClosed(id, stream, code, on: carrier)
        }
    }

    /// Passes a part of a response's body on to the client. If the client still has to take earlier parts, this one waits,
    /// and counts against the stream's window until then.
    private func receiveBody(_ bytes: Bytes, of id: SlotID) {
        let exchange = upstreams[id].exchange
        setDeadline(upstream: id, inMilliseconds: tables.sites[exchanges[exchange].site].view.readMilliseconds)
        guard !exchanges[exchange].client.isNone else {
            upstreams[id].transport.stream?.consume(bytes.count)
            return collectHealth(bytes, exchange)
        }
        guard upstreams[id].inbox.isEmpty, !isPaused(upstream: id) else { return upstreams[id].inbox.append(bytes) }
        relayBody(bytes, of: id)
    }

    /// Handles the end of a stream that an exchange still uses.
    private func streamClosed(_ id: SlotID, _ stream: HTTP2Stream, _ code: HTTP2Code, on carrier: SlotID) {
        guard !stream.hasReceivedEnd else {
            // The response has arrived whole, and its client has not taken it yet. The rest of the request is not wanted.
            if !exchanges[upstreams[id].exchange].isRequestComplete {
                exchanges[upstreams[id].exchange].discardsRequestBody = true
            }
            return
        }
        let isRefused = code == .refusedStream
        if isRefused, upstreams.contains(carrier) { upstreams[carrier].http2?.noteRefusal() }
        upstreamBroke(
            id, isRefused ? "it refused the request" : "it reset the stream with code \(code.rawValue)", .closed,
            isRefused: isRefused)
    }

    // MARK: Sending

    /// Sends a connection's frames, as long as the upstream takes them.
    func sendFrames(toUpstream id: SlotID) {
        guard let http2 = upstreams[id].http2 else { return }
        while upstreams[id].transport.isFlushed {
            let failure = http2.fill(atLeast: Self.bytesAtOnce)
            let count = memory.upstreamHTTP2.output.count
            let broken = memory.upstreamHTTP2.output.lendingBytes { upstreams[id].transport.send($0, memory.wire) }
            handleEvents(ofUpstream: id)
            guard upstreams.contains(id) else { return }
            if let broken { return upstreamBroke(id, broken.reason) }
            if let failure { return end(carrier: id, after: failure) }
            if count < Self.bytesAtOnce { break }
        }
        if http2.isFinished { upstreamBroke(id, "it ended the connection") }
    }
}
