/// The end of clients' connections: by the client, by a deadline, after a failure, and after the last response.
extension Worker {
    /// The longest time of the phase `lingering`. In this phase the gateway discards what a client sends, so that the
    /// client can receive its answer. `lingerSilenceMilliseconds` is the longest time without bytes from the client.
    static let lingerMilliseconds: Int64 = 30_000
    static let lingerSilenceMilliseconds: Int64 = 2000
    /// When to look again at a handshake whose time ran out while it waited for the worker, in milliseconds.
    private static let queueMilliseconds: Int64 = 1000

    /// Handles the end of the client's stream. The connection ends, unless a complete request still waits for its
    /// answer.
    func clientEnded(_ id: SlotID) {
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

    func discard(_ count: Int, of id: SlotID) {
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

    func endWriting(_ id: SlotID, hasAnswered: Bool = true) {
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

    func abortExchange(of id: SlotID) {
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
