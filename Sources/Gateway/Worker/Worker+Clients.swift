import HTTP1
import PKI

extension Worker {
    /// The longest time of the phase `lingering`. In this phase the gateway discards what a client sends, so that the
    /// client can receive its answer. `lingerSilenceMilliseconds` is the longest time without bytes from the client.
    static let lingerMilliseconds: Int64 = 30_000
    static let lingerSilenceMilliseconds: Int64 = 2000
    /// When to look again at a handshake whose time ran out while it waited for the worker, in milliseconds.
    private static let queueMilliseconds: Int64 = 1000
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

    // MARK: The end of a connection

    /// Handles the end of the client's stream. The connection ends, unless a complete request still waits for its
    /// answer.
    private func clientEnded(_ id: SlotID) {
        switch clients[id].phase {
        case .tunnel: endTunnel(id)
        case .open:
            let exchange = clients[id].exchange
            // The client may have closed only its sending side, so a complete request is still answered.
            if !exchange.isNone, exchanges[exchange].isRequestComplete {
                exchanges[exchange].keepsClient = false
                return
            }
            if clients[id].isStream, !exchange.isNone { return endRequestBody(of: id) }
            abort(id)
        case .handshake, .awaitingCertificate, .multiplexed, .lingering, .closing: close(id)
        }
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

    func clientTimedOut(_ id: SlotID) {
        if clients[id].transport.isTaking(atLeast: leastTaken(in: settings.bodyProgressMilliseconds)) {
            return setDeadline(client: id, inMilliseconds: settings.bodyProgressMilliseconds)
        }
        switch clients[id].phase {
        // The client is not late. Its handshake waits for the worker, and has `timeLeft` when its turn comes.
        case .handshake where clients[id].isQueued, .awaitingCertificate where clients[id].isQueued:
            setDeadline(client: id, inMilliseconds: Self.queueMilliseconds)
        case .handshake, .awaitingCertificate:
            metrics.add(.handshakesTimedOut, 1)
            close(id)
        case .lingering:
            let wait = Self.lingerSilenceMilliseconds
            clients[id].transport.isReceived(atLeast: leastTaken(in: wait))
                ? setDeadline(client: id, inMilliseconds: wait) : close(id)
        case .closing: cutOff(id)
        case .multiplexed: multiplexedClientTimedOut(id)
        case .tunnel: endTunnel(id)
        case .open:
            let exchange = clients[id].exchange
            if exchange.isNone, clients[id].transport.isFlushed, !clients[id].isInHead, clients[id].discarding == nil {
                return goodbye(id)
            }
            if awaitsAPI(id) { return refuseForNow(exchange) }
            metrics.add(.clientTimeouts, 1)
            // An error can be answered only if no answer has begun, and if the client has received all earlier answers.
            let canAnswer = exchange.isNone || !exchanges[exchange].hasResponseHead
            guard canAnswer, clients[id].transport.isFlushed, clients[id].discarding == nil else {
                if !exchange.isNone { noteCut(exchange, "the client took too long") }
                return cutOff(id)
            }
            guard !exchange.isNone else {
                return refuse(408, "the request took too long", id, isHead: clients[id].inbox.bytes.beginsWithHEAD)
            }
            failRequestBody(exchange, 408, "the request took too long")
        }
    }

    /// How many bytes a receiver must acknowledge within this time. The minimum rate of bodies (`bodyMinRate`, in bytes
    /// per second) applies to both directions.
    func leastTaken(in milliseconds: Int64) -> Int64 { max(1, settings.bodyMinRate * milliseconds / 1000) }

    /// Closes a connection that has no exchange. The client gets an orderly end, not a reset.
    func goodbye(_ id: SlotID) {
        clients[id].phase = .closing
        endWriting(id, hasAnswered: false)
    }

    /// Ends a connection after its answer was sent. The client gets time to receive the answer, while the gateway
    /// discards what the client still sends. The connection closes when the client closes its side or is silent, at
    /// `end` (in milliseconds of the event loop's clock), or after `bytes` bytes.
    func linger(_ id: SlotID, until end: Int64 = .max, atMost bytes: Int = .max) {
        if clients[id].isStream { return endStream(id) }
        clients[id].transport.finishWriting(memory.wire)
        discardRest(of: id, until: end, atMost: bytes)
    }

    private func discardRest(of id: SlotID, until end: Int64 = .max, atMost bytes: Int = .max) {
        clients[id].inbox.clear()
        clients[id].phase = .lingering
        clients[id].mayDiscard = bytes
        clients[id].bodyDeadline = min(end, clock.milliseconds + Self.lingerMilliseconds)
        awaitMoreToDiscard(of: id)
        // No event will report bytes that have already arrived, so the connection is queued for a read.
        enqueue(client: id)
    }

    private func awaitMoreToDiscard(of id: SlotID) {
        let left = clients[id].bodyDeadline - clock.milliseconds
        setDeadline(client: id, inMilliseconds: min(Self.lingerSilenceMilliseconds, left))
    }

    private func discard(_ count: Int, of id: SlotID) {
        clients[id].mayDiscard -= count
        clients[id].mayDiscard < 0 ? close(id) : awaitMoreToDiscard(of: id)
    }

    /// Closes a connection as soon as all bytes are sent.
    func closeWhenFlushed(_ id: SlotID) {
        if clients[id].isStream { return endStream(id) }
        clients[id].phase = .closing
        if clients[id].transport.isFlushed {
            endWriting(id)
        } else {
            setDeadline(client: id, inMilliseconds: settings.bodyProgressMilliseconds)
        }
    }

    private func endWriting(_ id: SlotID, hasAnswered: Bool = true) {
        clients[id].transport.finishWriting(memory.wire)
        guard clients[id].transport.isFlushed else { return }
        // If the gateway closed the connection with unread bytes, or if bytes arrived after that, the kernel would send
        // a reset. The client could then lose the last part of its answer (RFC 9112 section 9.6). So the client's bytes
        // are read and discarded first.
        let hasUnread = !clients[id].inbox.isEmpty || clients[id].transport.mayRead
        hasUnread || hasAnswered && clients[id].transport.hasUntaken() ? discardRest(of: id) : close(id)
    }

    /// Resets the connection of a client that does not read. After an orderly close, the kernel would keep the unsent
    /// bytes and the connection for many minutes.
    func cutOff(_ id: SlotID) {
        if !clients[id].isStream { Socket.resetOnClose(clients[id].transport.descriptor) }
        abort(id)
    }

    /// Closes a client's connection at once. Its exchange ends too.
    func abort(_ id: SlotID) {
        abortExchange(of: id)
        close(id)
    }

    private func abortExchange(of id: SlotID) {
        let exchange = clients[id].exchange
        guard !exchange.isNone else { return }
        exchanges[exchange].keepsClient = false
        metrics.add(.clientAborts, 1)
        if isStreaming(id) {
            // A client ends such an answer by leaving.
            forget(stream: exchange)
        } else if clients[id].phase != .tunnel {
            noteCut(exchange, "the client left")
        }
        // An HTTP/1.0 client would mistake an orderly close for the end of a complete answer. A reset shows that the
        // answer was cut off.
        if exchanges[exchange].hasResponseHead, exchanges[exchange].clientVersion == .http10 {
            Socket.resetOnClose(clients[id].transport.descriptor)
        }
        drop(exchange: exchange)
    }

    /// Closes a client's connection, or its stream. Its exchange must already have ended.
    func close(_ id: SlotID) {
        if clients[id].isStream { return closeStream(id) }
        abortStreams(of: id)
        let client = clients.remove(id)
        tables.release(site: client.proof.site)
        connections.leave(client.peer.key)
        metrics.add(.connectionsClosed, 1)
    }
}
