import HTTP1
import PKI

extension Worker {
    /// The largest number of requests that a connection may start in one turn. Other connections have their turn after
    /// that.
    private static let headsATurn = 4
    /// The largest number of pieces of bodies, such as chunks, that a connection may pass on in one turn. One read may
    /// return ten thousand chunks of a byte, which would take as long as ten requests.
    static let piecesATurn = 1024

    func clientEvent(_ id: SlotID, _ readiness: Readiness) {
        clients[id].transport.note(readiness)
        if readiness.intersects(.writable), !clients[id].transport.isFlushed {
            if clients[id].transport.flush() != nil { return abort(id) }
            if clients[id].transport.isFlushed {
                clientFlushed(id)
                guard clients.contains(id) else { return }
            } else {
                setDeadline(client: id, inMilliseconds: settings.bodyProgressMilliseconds)
            }
        }
        // Reading is paused, so no read would notice that the connection is broken.
        if readiness.intersects(.hungUp), isPaused(id) { return abort(id) }
        if readiness.intersects(.ended), isStreaming(id) { return abort(id) }
        pumpClient(id)
    }

    /// Continues a client's connection whose turn has come.
    func continueClient(_ id: SlotID) {
        let phase = clients[id].phase
        if phase == .open || phase == .tunnel, !clients[id].inbox.isEmpty, !isPaused(id) { processInbox(id) }
        if clients.contains(id) { pumpClient(id) }
    }

    /// Reads from a client once, if there may be something to read. Other connections have their turn before the next
    /// read, since one read may return thousands of tiny chunks or frames, and each takes as long as a large one.
    func pumpClient(_ id: SlotID) {
        // A connection in the queue must wait for its turn.
        guard mayRead(id), !clients[id].isQueued else { return }
        switch clients[id].phase {
        case .handshake: return enqueue(handshake: id)
        case .open, .multiplexed, .tunnel, .lingering:
            handle(clients[id].transport.receive(memory, second: clock.seconds), from: id)
        case .closing, .awaitingCertificate: return
        }
        enqueueIfReadable(id)
    }

    /// Queues a client's connection if there may be something to read. The connection continues after other connections
    /// have had their turn.
    func enqueueIfReadable(_ id: SlotID) {
        guard clients.contains(id), mayRead(id) else { return }
        clients[id].phase == .handshake ? enqueue(handshake: id) : enqueue(client: id)
    }

    private func mayRead(_ id: SlotID) -> Bool {
        clients[id].transport.mayRead && !isPaused(id) && (!clients[id].isStream || clients[id].inbox.isEmpty)
    }

    /// Whether the gateway must not read from the client now. Usually earlier bytes could not be passed on yet.
    func isPaused(_ id: SlotID) -> Bool {
        switch clients[id].phase {
        case .handshake, .lingering: return false
        case .closing, .awaitingCertificate: return true
        // A client that does not read its responses may send no further requests.
        case .multiplexed: return !clients[id].transport.isFlushed
        case .tunnel:
            let upstream = exchanges[clients[id].exchange].upstream
            return !upstreams[upstream].transport.isFlushed
        case .open:
            let exchange = clients[id].exchange
            // While an answer waits to be sent, no further request is read.
            guard !exchange.isNone else { return !clients[id].transport.isFlushed }
            guard !exchanges[exchange].isRequestComplete else { return true }
            if exchanges[exchange].isCollecting { return false }
            let upstream = exchanges[exchange].upstream
            return upstream.isNone || upstreams[upstream].phase != .active || !upstreams[upstream].transport.isFlushed
        }
    }

    /// Handles the result of a read from a client. The bytes are in `memory.plain`.
    func handle(_ received: Transport.Received, from id: SlotID) {
        switch received {
        case .nothing: return
        case .bytes:
            guard memory.plain.count > 0 else { return }
            metrics.add(.bytesReceived, UInt64(memory.plain.count))
            switch clients[id].phase {
            case .lingering: discard(memory.plain.count, of: id)
            case .closing, .handshake, .awaitingCertificate: return
            case .open, .tunnel: receive(memory.plain.bytes, from: id)
            case .multiplexed: receiveFrames(from: id)
            }
        case .ended, .truncated: clientEnded(id)
        case .failed(.tls(let failure)): tlsFailed(id, failure)
        case .failed(.system): abort(id)
        }
    }

    /// Handles a failure of TLS after the handshake. TLS has already sent an alert. The connection stays open for a
    /// while, so that the client can receive the alert.
    private func tlsFailed(_ id: SlotID, _ failure: TLSFailure) {
        metrics.add(BrokenTLS.counter(.client, BrokenTLS.Reason(failure)), 1)
        abortExchange(of: id)
        abortStreams(of: id)
        memory.wire.revoke()
        clients[id].transport.tls = nil
        linger(id, atMost: Self.bytesAfterFailure)
    }

    /// Processes bytes that have arrived. Those that can't be processed yet are kept in the inbox.
    func receive(_ bytes: Bytes, from id: SlotID) {
        if clients[id].inbox.isEmpty {
            let taken = process(bytes, of: id)
            if clients.contains(id), taken < bytes.count { clients[id].inbox.append(bytes.from(taken)) }
        } else {
            clients[id].inbox.append(bytes)
            processInbox(id)
        }
    }

    private func processInbox(_ id: SlotID) {
        let taken = process(clients[id].inbox.bytes, of: id)
        // If a request was refused, the phase has changed, and the inbox is already empty.
        guard clients.contains(id), clients[id].phase == .open || clients[id].phase == .tunnel else { return }
        clients[id].inbox.removeFirst(taken)
        if taken > 0 { clients[id].transport.stream?.consume(taken) }
    }

    /// Processes bytes from a client. A request's head starts an exchange, and a request's body is passed to its
    /// exchange.
    ///
    /// - Returns: How many bytes were processed. The caller keeps the other bytes for later. After the call the client
    ///   may no longer exist.
    private func process(_ bytes: Bytes, of id: SlotID) -> Int {
        if clients[id].phase == .tunnel { return relayToUpstream(bytes, from: id) }
        var offset = 0
        var (heads, pieces) = (0, 0)
        while offset < bytes.count {
            if pieces >= Self.piecesATurn {
                enqueue(client: id)
                return offset
            }
            if clients[id].discarding != nil {
                offset = discardBody(bytes, offset, of: id, &pieces)
                guard clients.contains(id), clients[id].phase == .open else { return bytes.count }
                continue
            }
            if !clients[id].exchange.isNone {
                if isPaused(id) { return offset }
                offset = relayRequestBody(bytes, offset, of: id, &pieces)
            } else {
                if isPaused(id) { return offset }
                if heads == Self.headsATurn {
                    enqueue(client: id)
                    return offset
                }
                heads += 1
                switch clients[id].scanner.scan(bytes.from(offset).span, limits: settings.headLimits) {
                case .incomplete:
                    beginHead(of: id)
                    return offset
                case .malformed(let fault):
                    refuse(fault.status, fault.reason, id, isHead: bytes.from(offset).beginsWithHEAD)
                    return bytes.count
                case .complete(let headBytes):
                    clients[id].scanner = .request
                    clients[id].headDeadline = .max
                    beginExchange(bytes[offset..<offset + headBytes], from: id)
                    offset += headBytes
                }
            }
            guard clients.contains(id), clients[id].phase == .open else { return bytes.count }
        }
        return offset
    }

    /// Starts the time limit for a head, with the head's first byte.
    private func beginHead(of id: SlotID) {
        guard clients[id].scanner.hasBegun, !clients[id].isInHead else { return }
        clients[id].headDeadline = clock.milliseconds + settings.headMilliseconds
        setDeadline(client: id, inMilliseconds: settings.headMilliseconds)
    }

    /// Skips the body of a request that was answered before its body arrived. `pieces` counts as in `relayRequestBody`.
    ///
    /// - Returns: The offset of the next byte to process.
    private func discardBody(_ bytes: Bytes, _ start: Int, of id: SlotID, _ pieces: inout Int) -> Int {
        var offset = start
        while pieces < Self.piecesATurn || offset == bytes.count {
            guard let step = clients[id].discarding?.next(in: bytes.span, from: offset) else { return offset }
            switch step {
            case .data(let start, let count), .trailers(let start, let count):
                offset = start + count
                pieces += 1
            case .needMore:
                expectBody(of: id, received: bytes.count - start)
                return bytes.count
            case .end(let end):
                clients[id].discarding = nil
                setDeadline(client: id, inMilliseconds: idleMilliseconds)
                return end
            case .malformed:
                linger(id)
                return bytes.count
            }
        }
        expectBody(of: id, received: offset - start)
        return offset
    }

    /// Called when the last bytes that waited for a client were sent.
    func clientFlushed(_ id: SlotID) {
        switch clients[id].phase {
        case .closing: return endWriting(id)
        case .multiplexed: return multiplexedClientFlushed(id)
        case .handshake, .awaitingCertificate, .lingering: return
        case .open, .tunnel: break
        }
        let exchange = clients[id].exchange
        guard !exchange.isNone else {
            let left = clients[id].headDeadline - clock.milliseconds
            setDeadline(client: id, inMilliseconds: min(idleMilliseconds, left))
            return enqueue(client: id)
        }
        let upstream = exchanges[exchange].upstream
        guard !upstream.isNone else {
            if isStreaming(id) { clients[id].deadline.clear() }
            return
        }
        if clients[id].phase == .tunnel {
            keepTunnelAlive(exchange)
        } else {
            beginBody(of: id)
            awaitProgress(exchange)
        }
        enqueue(upstream: upstream)
    }
}
