import HTTP1
import PKI

extension Worker {
    /// How long a client that is still sending has in all to read its answer, and how long it may be silent meanwhile.
    static let lingerMilliseconds: Int64 = 30_000
    static let lingerSilenceMilliseconds: Int64 = 2000
    /// How much longer a handshake may take whose time has run out while it was in the queue.
    private static let graceMilliseconds: Int64 = 1000
    /// How many requests of a connection are begun before others have their turn.
    private static let headsATurn = 4

    func clientEvent(_ id: SlotID, _ readiness: Readiness) {
        clients[id].transport.note(readiness)
        if readiness.intersects(.writable), !clients[id].transport.isFlushed {
            if clients[id].transport.flush() != nil { return abort(id) }
            if clients[id].transport.isFlushed {
                clientFlushed(id)
                guard clients.contains(id) else { return }
            } else {
                unsafe setDeadline(client: id, inMilliseconds: settings.bodyProgressMilliseconds)
            }
        }
        // Nobody would read the error while the connection is paused.
        if readiness.intersects(.hungUp), isPaused(id) { return abort(id) }
        pumpClient(id)
    }

    /// Goes on with what has waited for its turn.
    func continueClient(_ id: SlotID) {
        if clients[id].phase == .open, !clients[id].inbox.isEmpty, !isPaused(id) { processInbox(id) }
        if clients.contains(id) { pumpClient(id) }
    }

    /// Reads from a client once, if there may be something to read. Others have their turn before it is read from again: what
    /// one read brings may be thousands of the smallest pieces, and each costs as much as a large one.
    func pumpClient(_ id: SlotID) {
        // What is in the queue goes on in its turn.
        guard mayRead(id), !clients[id].isQueued else { return }
        switch clients[id].phase {
        case .handshake: return enqueue(handshake: id)
        case .open, .tunnel, .lingering:
            take(unsafe clients[id].transport.receive(memory, second: clock.seconds), from: id)
        case .closing, .awaitingCertificate: return
        }
        enqueueIfReadable(id)
    }

    /// Has a client's connection go on after others had their turn, if there may be something to read.
    func enqueueIfReadable(_ id: SlotID) {
        guard clients.contains(id), mayRead(id) else { return }
        clients[id].phase == .handshake ? enqueue(handshake: id) : enqueue(client: id)
    }

    private func mayRead(_ id: SlotID) -> Bool { clients[id].transport.mayRead && !isPaused(id) }

    /// Whether nothing is read from a client for now.
    func isPaused(_ id: SlotID) -> Bool {
        switch clients[id].phase {
        case .handshake, .lingering: return false
        case .closing, .awaitingCertificate: return true
        case .tunnel:
            let upstream = exchanges[clients[id].exchange].upstream
            return !upstreams[upstream].transport.isFlushed
        case .open:
            let exchange = clients[id].exchange
            // Answers that are not taken make no room for more requests.
            guard !exchange.isNone else { return !clients[id].transport.isFlushed }
            guard !exchanges[exchange].isRequestComplete else { return true }
            if exchanges[exchange].isCollecting { return false }
            let upstream = exchanges[exchange].upstream
            return upstream.isNone || upstreams[upstream].phase != .active || !upstreams[upstream].transport.isFlushed
        }
    }

    /// Handles what a read has brought, which lies in `memory.plain`.
    func take(_ received: Transport.Received, from id: SlotID) {
        switch received {
        case .nothing: return
        case .bytes:
            guard memory.plain.count > 0 else { return }
            metrics.add(.bytesReceived, UInt64(memory.plain.count))
            switch clients[id].phase {
            case .tunnel: relayToUpstream(id)
            case .lingering: discard(memory.plain.count, of: id)
            case .closing, .handshake, .awaitingCertificate: return
            case .open: takeBytes(id)
            }
        case .ended, .truncated: clientEnded(id)
        case .failed(.tls(let failure)): tlsFailed(id, failure)
        case .failed(.system): abort(id)
        }
    }

    /// TLS has ended a connection, with an alert, which is to reach the client.
    private func tlsFailed(_ id: SlotID, _ failure: TLSFailure) {
        metrics.add(BrokenTLS.counter(.client, BrokenTLS.Reason(failure)), 1)
        abortExchange(of: id)
        memory.wire.revoke()
        clients[id].transport.tls = nil
        linger(id, atMost: Self.bytesAfterFailure)
    }

    private func takeBytes(_ id: SlotID) {
        if clients[id].inbox.isEmpty {
            let bytes = memory.plain.bytes
            let taken = process(bytes, of: id)
            if clients.contains(id), taken < bytes.count { clients[id].inbox.append(bytes.from(taken)) }
        } else {
            clients[id].inbox.append(memory.plain.bytes)
            processInbox(id)
        }
    }

    private func processInbox(_ id: SlotID) {
        let taken = process(clients[id].inbox.bytes, of: id)
        // A request that was refused has taken all of it.
        if clients.contains(id), clients[id].phase == .open { clients[id].inbox.removeFirst(taken) }
    }

    /// Goes through bytes of a client: heads begin exchanges, bodies go on to them.
    ///
    /// - Returns: How many were taken. The rest is kept until more come or the connection is no longer paused. After a call
    ///   the client may be gone.
    private func process(_ bytes: Bytes, of id: SlotID) -> Int {
        var offset = 0
        var heads = 0
        while offset < bytes.count {
            if clients[id].discarding != nil {
                offset = discardBody(bytes, offset, of: id)
                guard clients.contains(id), clients[id].phase == .open else { return bytes.count }
                continue
            }
            if !clients[id].exchange.isNone {
                if isPaused(id) { return offset }
                offset = relayRequestBody(bytes, offset, of: id)
            } else {
                if isPaused(id) { return offset }
                if heads == Self.headsATurn {
                    enqueue(client: id)
                    return offset
                }
                heads += 1
                switch unsafe clients[id].scanner.scan(bytes.from(offset).span, limits: settings.headLimits) {
                case .incomplete:
                    // The time for a head runs from its first byte.
                    if clients[id].inbox.isEmpty {
                        unsafe setDeadline(client: id, inMilliseconds: settings.headMilliseconds)
                    }
                    return offset
                case .malformed(let fault):
                    refuse(fault.status, fault.reason, id, isHead: bytes.from(offset).beginsWithHEAD)
                    return bytes.count
                case .complete(let headBytes):
                    clients[id].scanner = .request
                    beginExchange(bytes[offset..<offset + headBytes], from: id)
                    offset += headBytes
                }
            }
            guard clients.contains(id), clients[id].phase == .open else { return bytes.count }
        }
        return offset
    }

    /// Throws away the body of a request that was answered without it.
    private func discardBody(_ bytes: Bytes, _ start: Int, of id: SlotID) -> Int {
        var offset = start
        while true {
            guard let step = clients[id].discarding?.next(in: bytes.span, from: offset) else { return offset }
            switch step {
            case .data(let start, let count): offset = start + count
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
    }

    // MARK: Endings

    /// The client will send nothing more.
    private func clientEnded(_ id: SlotID) {
        switch clients[id].phase {
        case .tunnel: endTunnel(id)
        case .open:
            let exchange = clients[id].exchange
            // What was asked for completely is answered; the client may have closed but its own half.
            if !exchange.isNone, exchanges[exchange].isRequestComplete {
                exchanges[exchange].keepsClient = false
                return
            }
            abort(id)
        case .handshake, .awaitingCertificate, .lingering, .closing: close(id)
        }
    }

    /// Everything that was to be sent to a client is sent.
    func clientFlushed(_ id: SlotID) {
        switch clients[id].phase {
        case .closing: return endWriting(id)
        case .handshake, .awaitingCertificate, .lingering: return
        case .open, .tunnel: break
        }
        let exchange = clients[id].exchange
        guard !exchange.isNone else {
            setDeadline(client: id, inMilliseconds: idleMilliseconds)
            return enqueue(client: id)
        }
        let upstream = exchanges[exchange].upstream
        guard !upstream.isNone else { return }
        if clients[id].phase == .tunnel {
            keepTunnelAlive(exchange)
        } else {
            beginBody(of: id)
            awaitProgress(exchange)
        }
        enqueue(upstream: upstream)
    }

    func clientTimedOut(_ id: SlotID) {
        if unsafe clients[id].transport.isTaking(atLeast: leastTaken(in: settings.bodyProgressMilliseconds)) {
            return unsafe setDeadline(client: id, inMilliseconds: settings.bodyProgressMilliseconds)
        }
        switch clients[id].phase {
        // The client waits for its turn, not the worker for the client.
        case .handshake where clients[id].isQueued: setDeadline(client: id, inMilliseconds: Self.graceMilliseconds)
        case .handshake, .awaitingCertificate:
            metrics.add(.handshakesTimedOut, 1)
            close(id)
        case .lingering: close(id)
        case .closing: cutOff(id)
        case .tunnel: endTunnel(id)
        case .open:
            let exchange = clients[id].exchange
            if exchange.isNone, clients[id].transport.isFlushed, clients[id].inbox.isEmpty,
                clients[id].discarding == nil
            {
                return goodbye(id)
            }
            metrics.add(.clientTimeouts, 1)
            // An answer that has begun, or is not taken, can't be followed by another.
            let canAnswer = exchange.isNone || !exchanges[exchange].hasResponseHead
            guard canAnswer, clients[id].transport.isFlushed, clients[id].discarding == nil else { return cutOff(id) }
            guard !exchange.isNone else {
                return refuse(408, "the request took too long", id, isHead: clients[id].inbox.bytes.beginsWithHEAD)
            }
            failRequestBody(exchange, 408, "the request took too long")
        }
    }

    /// How many bytes whoever is sent something must take within so many milliseconds: the least rate of bodies holds for both
    /// directions.
    func leastTaken(in milliseconds: Int64) -> Int64 { max(1, unsafe settings.bodyMinRate * milliseconds / 1000) }

    /// Closes a connection on which nothing is under way, as a client expects.
    func goodbye(_ id: SlotID) {
        clients[id].phase = .closing
        endWriting(id)
    }

    /// Closes after what was sent has left, and after the client had time to read it though it is still sending: until it
    /// ends or is silent, and not beyond an earlier end (in milliseconds) or more than so many bytes.
    func linger(_ id: SlotID, until end: Int64 = .max, atMost bytes: Int = .max) {
        clients[id].transport.finishWriting(memory.wire)
        discardRest(of: id, until: end, atMost: bytes)
    }

    private func discardRest(of id: SlotID, until end: Int64 = .max, atMost bytes: Int = .max) {
        clients[id].inbox.clear()
        clients[id].phase = .lingering
        clients[id].mayDiscard = bytes
        clients[id].bodyDeadline = unsafe min(end, clock.milliseconds + Self.lingerMilliseconds)
        awaitMoreToDiscard(of: id)
        // What has been read of an edge-triggered event is not told again.
        enqueue(client: id)
    }

    private func awaitMoreToDiscard(of id: SlotID) {
        let left = unsafe clients[id].bodyDeadline - clock.milliseconds
        setDeadline(client: id, inMilliseconds: min(Self.lingerSilenceMilliseconds, left))
    }

    private func discard(_ count: Int, of id: SlotID) {
        clients[id].mayDiscard -= count
        clients[id].mayDiscard < 0 ? close(id) : awaitMoreToDiscard(of: id)
    }

    /// Closes as soon as what was sent has left.
    func closeWhenFlushed(_ id: SlotID) {
        clients[id].phase = .closing
        if clients[id].transport.isFlushed {
            endWriting(id)
        } else {
            unsafe setDeadline(client: id, inMilliseconds: settings.bodyProgressMilliseconds)
        }
    }

    private func endWriting(_ id: SlotID) {
        clients[id].transport.finishWriting(memory.wire)
        guard clients[id].transport.isFlushed else { return }
        // To close while something is unread would take back what is on its way to the client (RFC 9112 section 9.6).
        let hasUnread = !clients[id].inbox.isEmpty || clients[id].transport.mayRead
        hasUnread ? discardRest(of: id) : close(id)
    }

    /// Breaks the connection of a client off that takes nothing. An orderly end would wait for it behind all the rest, and
    /// the kernel would keep that for many minutes.
    private func cutOff(_ id: SlotID) {
        Socket.resetOnClose(clients[id].transport.descriptor)
        abort(id)
    }

    /// Breaks a client's connection off, with the exchange on it.
    func abort(_ id: SlotID) {
        abortExchange(of: id)
        close(id)
    }

    private func abortExchange(of id: SlotID) {
        let exchange = clients[id].exchange
        guard !exchange.isNone else { return }
        exchanges[exchange].keepsClient = false
        metrics.add(.clientAborts, 1)
        // An HTTP/1.0 client would take the end for the answer's.
        if exchanges[exchange].hasResponseHead, !exchanges[exchange].clientSpeaksHTTP11 {
            Socket.resetOnClose(clients[id].transport.descriptor)
        }
        drop(exchange: exchange)
    }

    /// Closes a client's connection, which has no exchange any more.
    func close(_ id: SlotID) {
        let client = clients.remove(id)
        tables.release(site: client.site)
        connections.leave(client.peer.key)
        metrics.add(.connectionsClosed, 1)
    }
}
