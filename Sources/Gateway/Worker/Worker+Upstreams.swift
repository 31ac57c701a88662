import HTTP1
import PKI

extension Worker {
    func upstreamEvent(_ id: SlotID, _ readiness: Readiness) {
        if upstreams[id].phase == .connecting {
            guard readiness.intersects([.writable, .hungUp]) else { return }
            let code = Socket.pendingError(upstreams[id].transport.descriptor)
            guard code == 0, !readiness.intersects(.hungUp) else {
                return upstreamBroke(id, SystemFailure.text(code))
            }
            upstreamConnected(id)
            guard upstreams.contains(id) else { return }
        }
        upstreams[id].transport.note(readiness)
        if readiness.intersects(.writable), !upstreams[id].transport.isFlushed {
            if let failure = upstreams[id].transport.flush() {
                switch upstreams[id].phase {
                case .tunnel: return upstreamEnded(id, isTruncated: true)
                case .active where !exchanges[upstreams[id].exchange].isRequestComplete: awaitEarlyAnswer(id)
                default: return upstreamBroke(id, failure.reason)
                }
            }
            upstreams[id].transport.isFlushed ? upstreamFlushed(id) : upstreamTookSome(id)
            guard upstreams.contains(id) else { return }
        }
        pumpUpstream(id)
    }

    /// Called when the upstream no longer reads the request's body. The upstream may have sent a response before it
    /// closed the connection (RFC 9112 section 9.5). So the gateway reads until reading fails.
    func awaitEarlyAnswer(_ id: SlotID) {
        exchanges[upstreams[id].exchange].discardsRequestBody = true
        upstreams[id].transport.giveUpWriting()
        enqueue(upstream: id)
    }

    /// Called when all bytes for an upstream were sent. The client may send more of its body now.
    func upstreamFlushed(_ id: SlotID) {
        if upstreams[id].phase == .multiplexed { return sendFrames(toUpstream: id) }
        guard upstreams[id].phase == .active || upstreams[id].phase == .tunnel else { return }
        let client = exchanges[upstreams[id].exchange].client
        guard !client.isNone else { return }
        if upstreams[id].phase == .active, !exchanges[upstreams[id].exchange].isRequestComplete {
            beginBody(of: client)
        }
        upstreamTookSome(id)
        enqueue(client: client)
    }

    /// Called when some of the bytes that waited for an upstream were sent. The upstream's deadline is renewed.
    private func upstreamTookSome(_ id: SlotID) {
        let exchange = upstreams[id].exchange
        guard upstreams[id].phase == .active || upstreams[id].phase == .tunnel, !exchanges[exchange].client.isNone
        else { return }
        upstreams[id].phase == .tunnel ? keepTunnelAlive(exchange) : awaitProgress(exchange)
    }

    /// Reads from an upstream once, if there may be something to read. Other connections have their turn before the
    /// next read.
    func pumpUpstream(_ id: SlotID) {
        if upstreams[id].phase == .multiplexed, mustEnd(id) { return end(carrier: id) }
        guard mayRead(upstream: id) else { return }
        switch upstreams[id].phase {
        case .connecting: return
        case .handshake: continueUpstreamHandshake(id, hasInput: true)
        case .multiplexed: receiveFrames(fromUpstream: id)
        case .listening: if hearsNothing(id) { Socket.acknowledge(upstreams[id].transport.descriptor) }
        case .active where hasRestOfBody(id): continueResponse(id)
        case .active, .tunnel:
            handle(upstreams[id].transport.receive(memory, second: clock.seconds), fromUpstream: id)
        case .idle:
            if case .bytes = upstreams[id].transport.receive(memory, second: clock.seconds), memory.plain.count > 0 {
                noteUnasked(id)
            }
            return closeIdle(id)
        }
        if upstreams.contains(id), mayRead(upstream: id) { enqueue(upstream: id) }
    }

    private func mayRead(upstream id: SlotID) -> Bool {
        (upstreams[id].transport.mayRead || hasRestOfBody(id)) && !isPaused(upstream: id)
    }

    /// Whether bytes of a response's body wait in the inbox, because a turn was over before they were passed on.
    private func hasRestOfBody(_ id: SlotID) -> Bool {
        !upstreams[id].inbox.isEmpty && upstreams[id].phase == .active
            && exchanges[upstreams[id].exchange].hasResponseHead
    }

    /// Whether reading from an upstream is paused, because its client has not received earlier bytes yet.
    func isPaused(upstream id: SlotID) -> Bool {
        guard upstreams[id].phase == .active || upstreams[id].phase == .tunnel else { return false }
        let client = exchanges[upstreams[id].exchange].client
        guard !client.isNone, !clients[client].transport.isFlushed else { return false }
        // The client must act next. The client's own deadline applies, so the upstream has none.
        upstreams[id].deadline.clear()
        return true
    }

    func continueUpstreamHandshake(_ id: SlotID, hasInput: Bool) {
        if hasInput {
            switch upstreams[id].transport.receiveCiphertext(memory) {
            case .bytes: break
            case .wouldBlock: return
            case .ended: return handshakeBroke(id, "the connection was closed during the TLS handshake")
            case .failed(let code): return handshakeBroke(id, SystemFailure.text(code))
            }
        } else {
            // `wire` may still refer to bytes of another connection, whose TLS has failed.
            memory.wire.revoke()
        }
        while true {
            guard let progress = upstreams[id].transport.tls?.handshake() else { return }
            if let failure = upstreams[id].transport.sendOutput(of: memory.wire) {
                return upstreamBroke(id, failure.reason)
            }
            switch progress {
            case .needsInput: return upstreams[id].transport.keepUndecrypted(memory.wire)
            case .needsOutput: continue
            case .needsCertificate: return upstreamBroke(id, "the TLS handshake can't go on")
            case .failed(let failure):
                guard let refusal = upstreams[id].transport.tls?.verdict ?? nil else {
                    return handshakeBroke(id, "TLS: \(failure.reason)")
                }
                refuseCertificate(refusal, ofUpstream: id)
                return upstreamBroke(id, "TLS: \(refusal.words)")
            case .complete:
                let isResumed = upstreams[id].transport.tls?.isResumed ?? false
                metrics.add(isResumed ? .upstreamHandshakesResumed : .upstreamHandshakesFull, 1)
                if let group = upstreams[id].transport.tls?.group { tables.pools[upstreams[id].pool].group = group }
                // Session tickets may have arrived. A response can't have arrived, since no request was sent. So if
                // there are any other bytes, the connection is not used, unless it speaks HTTP/2: its server may send
                // settings at once.
                let received = upstreams[id].transport.decrypt(memory, second: clock.seconds)
                if upstreams[id].http2 != nil { return beginMultiplexing(upstream: id, after: received) }
                guard case .bytes = received, memory.plain.count == 0 else { return hearSomething(id, received) }
                return hearsNothing(id) ? upstreamReady(id) : ()
            }
        }
    }

    /// Counts and reports a certificate of an upstream that was refused.
    private func refuseCertificate(_ refusal: PeerRefusal, ofUpstream id: SlotID) {
        guard let exchange = carried(by: id).first else { return }
        let host = tables.sites[exchanges[exchange].site].site.name
        tables.count(refusedUpstreamOf: host, refusal.reason)
        report(refusal, of: .upstream, host: host, peer: upstreams[id].address.peer.description)
    }

    /// Called when an upstream has sent bytes that belong to no request.
    func noteUnasked(_ id: SlotID) {
        tables.pools[upstreams[id].pool].habits.noteUnasked(
            after: upstreams[id].responses, last: upstreams[id].bodiless)
    }

    /// Handles a handshake that has broken. A server that can't resume a session makes a full handshake, but some fail
    /// instead. So if the handshake offered a session, the exchange gets one more connection, which offers none.
    private func handshakeBroke(_ id: SlotID, _ reason: String) {
        guard upstreams[id].transport.tls?.offersSession ?? false else { return upstreamBroke(id, reason) }
        upstreams[id].transport.tls?.forgetSessions()
        let carried = carried(by: id)
        for exchange in carried { exchanges[exchange].attempts.avoidResumption() }
        close(upstream: id)
        for exchange in carried {
            if !exchanges[exchange].upstream.isNone, upstreams.contains(exchanges[exchange].upstream) {
                close(upstream: exchanges[exchange].upstream)
            }
            exchanges[exchange].upstream = .none
            metrics.add(.upstreamRetries, 1)
            connect(exchange)
        }
    }

    /// The exchanges that a connection carries, or will carry when it is ready.
    func carried(by id: SlotID) -> [SlotID] {
        guard let http2 = upstreams[id].http2 else { return [upstreams[id].exchange] }
        return http2.streams.compactMap { stream(ofUpstream: $0).map { upstreams[$0].exchange } }
    }

    /// Reads from a connection that has had no request. If anything but TLS's own messages has arrived, the connection
    /// is closed, and the result is false.
    func hearsNothing(_ id: SlotID) -> Bool {
        let received = upstreams[id].transport.receive(memory, second: clock.seconds)
        switch received {
        case .nothing: return true
        case .bytes where memory.plain.count == 0: return true
        case .bytes, .ended, .truncated, .failed:
            hearSomething(id, received)
            return false
        }
    }

    /// Closes a connection on which bytes or the end arrived before the first request. The bytes would be mistaken for
    /// the response.
    func hearSomething(_ id: SlotID, _ received: Transport.Received) {
        // In TLS 1.2, only a full handshake shows that an upstream speaks before the request.
        upstreams[id].transport.tls?.forgetSessions()
        if case .failed(.tls(let failure)) = received {
            // In TLS 1.3, an upstream's alert about the gateway's certificate comes after the handshake.
            let shown = tables.pools[upstreams[id].pool].definition.trust?.showsCertificate ?? false
            let hint =
                shown && failure.cause == .alert ? " (it may refuse the certificate of the gateway's identity)" : ""
            return upstreamBroke(id, "TLS, after the handshake: \(failure.reason)\(hint)", .tls)
        }
        upstreamBroke(id, "it sent something, or closed the connection, before the request", .malformed)
    }

    /// Handles the result of a read from an upstream. The bytes are in `memory.plain`.
    private func handle(_ received: Transport.Received, fromUpstream id: SlotID) {
        switch received {
        case .nothing: return
        case .bytes:
            guard memory.plain.count > 0 else { return }
            if upstreams[id].phase == .tunnel { relayToClient(id) } else { readResponse(id) }
        case .ended: upstreamEnded(id, isTruncated: false)
        case .truncated: upstreamEnded(id, isTruncated: true)
        case .failed(let failure):
            noteBrokenTLS(failure)
            upstreams[id].phase == .tunnel ? upstreamEnded(id, isTruncated: true) : upstreamBroke(id, failure.reason)
        }
    }

    /// Counts a failure of TLS behind the handshake.
    func noteBrokenTLS(_ failure: TransportFailure) {
        guard case .tls(let failure) = failure else { return }
        metrics.add(BrokenTLS.counter(.upstream, BrokenTLS.Reason(failure)), 1)
    }

    /// Handles the end of an upstream's stream, which may also be the end of a response's body.
    private func upstreamEnded(_ id: SlotID, isTruncated: Bool) {
        let exchange = upstreams[id].exchange
        if upstreams[id].phase == .tunnel { return endTunnel(exchanges[exchange].client) }
        guard exchanges[exchange].hasResponseHead else {
            return upstreamBroke(id, "the connection was closed before an answer")
        }
        if exchanges[exchange].client.isNone { return healthCallEnded(exchange) }
        // The end of the stream ends the body only if the body has no declared length and is not chunked. With TLS, the
        // upstream must also have sent close_notify.
        guard !isTruncated, exchanges[exchange].responseBody?.isComplete ?? true else {
            return upstreamBroke(id, "the connection was closed within the answer")
        }
        memory.output.clear()
        endResponse(exchange)
    }

    func upstreamTimedOut(_ id: SlotID) {
        let exchange = upstreams[id].exchange
        if !exchange.isNone, !upstreams[id].transport.isFlushed {
            let time = tables.sites[exchanges[exchange].site].view.writeMilliseconds
            if upstreams[id].transport.isTaking(atLeast: leastTaken(in: time)) {
                return setDeadline(upstream: id, inMilliseconds: time)
            }
        }
        switch upstreams[id].phase {
        case .connecting, .handshake: upstreamBroke(id, "connecting took too long", timedOut: true)
        case .active:
            let isFlushed = upstreams[id].transport.isFlushed
            upstreamBroke(
                id, isFlushed ? "the answer took too long" : "it took too long to take the request", timedOut: true)
        case .listening:
            guard hearsNothing(id) else { return }
            tables.pools[upstreams[id].pool].habits.noteSilence()
            sendFirstRequest(on: id)
        case .idle where upstreams[id].isWatched:
            endWatch(id, isSilent: true)
            setDeadline(upstream: id, inMilliseconds: upstreams[id].idleMilliseconds)
        case .idle: closeIdle(id)
        case .multiplexed: carrierTimedOut(id)
        case .tunnel: endTunnel(exchanges[upstreams[id].exchange].client)
        }
    }

    // MARK: The pool

    /// Puts a connection back into its pool after its exchange.
    func park(_ id: SlotID) {
        if upstreams[id].isStream { return close(upstream: id) }
        let pool = upstreams[id].pool
        // A connection is closed if the next request on it could get a wrong response, for example because of unread
        // bytes.
        guard upstreams[id].inbox.isEmpty, upstreams[id].transport.isFlushed, !upstreams[id].isOutdated,
            !upstreams[id].isDoubtful, !tables.pools[pool].isRetired, !isDraining,
            tables.pools[pool].habits.mayKeep(after: upstreams[id].bodiless)
        else { return close(upstream: id) }
        if tables.pools[pool].idleCount >= UpstreamPool.maxIdle { closeIdle(tables.pools[pool].oldestIdle) }
        upstreams[id].phase = .idle
        upstreams[id].exchange = .none
        upstreams[id].isReused = true
        upstreams[id].needsProof = !upstreams[id].bodiless.isEmpty
        upstreams[id].isWatched = tables.pools[pool].habits.watch(after: upstreams[id].bodiless)
        upstreams[id].scanner = .response
        let newest = tables.pools[pool].newestIdle
        upstreams[id].older = newest
        upstreams[id].newer = .none
        if newest.isNone { tables.pools[pool].oldestIdle = id } else { upstreams[newest].newer = id }
        tables.pools[pool].newestIdle = id
        tables.pools[pool].idleCount += 1
        let time = upstreams[id].isWatched ? UpstreamHabits.watchMilliseconds : upstreams[id].idleMilliseconds
        setDeadline(upstream: id, inMilliseconds: time)
        if upstreams[id].transport.mayRead { enqueue(upstream: id) }
    }

    private func endWatch(_ id: SlotID, isSilent: Bool) {
        guard upstreams[id].isWatched else { return }
        upstreams[id].isWatched = false
        tables.pools[upstreams[id].pool].habits.endWatch(isSilent: isSilent)
    }

    /// Takes the newest idle connection that is not watched out of the pool. A connection with unread bytes is closed,
    /// since the bytes would be mistaken for the next response. The socket is checked each time, since the event that
    /// reports such bytes may still be waiting.
    func takeIdle(from pool: SlotID) -> SlotID? {
        while true {
            var id = tables.pools[pool].newestIdle
            // At most one connection of a pool is watched.
            if !id.isNone, upstreams[id].isWatched { id = upstreams[id].older }
            guard !id.isNone else { return nil }
            guard upstreams[id].transport.isSilent() else {
                closeIdle(id)
                continue
            }
            unlink(id)
            return id
        }
    }

    private func unlink(_ id: SlotID) {
        let pool = upstreams[id].pool
        let (newer, older) = (upstreams[id].newer, upstreams[id].older)
        if newer.isNone { tables.pools[pool].newestIdle = older } else { upstreams[newer].older = older }
        if older.isNone { tables.pools[pool].oldestIdle = newer } else { upstreams[older].newer = newer }
        (upstreams[id].newer, upstreams[id].older) = (.none, .none)
        tables.pools[pool].idleCount -= 1
    }

    func closeIdle(_ id: SlotID) {
        unlink(id)
        endWatch(id, isSilent: false)
        close(upstream: id)
    }

    /// Closes a connection that is not in the pool's list of idle connections, or a stream.
    func close(upstream id: SlotID) {
        if upstreams[id].isStream { return closeStream(upstream: id) }
        if upstreams[id].http2 != nil { forget(carrier: id) }
        _ = upstreams.remove(id)
    }

    /// Removes a pool whose upstream is gone. If exchanges still use the pool, the end of the last exchange removes it.
    func retire(pool: SlotID) {
        tables.pools[pool].isRetired = true
        while !tables.pools[pool].newestIdle.isNone { closeIdle(tables.pools[pool].newestIdle) }
        tables.pools[pool].carriers.forEach(endWhenIdle)
        guard tables.pools[pool].active == 0 else { return }
        reportTraffic()
        _ = tables.pools.remove(pool)
    }
}
