import HTTP1
import PKI

extension Worker {
    /// Passes a request on to an upstream of its site.
    func beginProxying(_ head: Bytes, _ exchange: SlotID) {
        let site = exchanges[exchange].site
        exchanges[exchange].nextCandidate = firstCandidate(of: site, for: exchanges[exchange].client)
        guard assign(exchange) else { return answer(exchange, 502) }
        // From here on it is the upstream that may take its time.
        clients[exchanges[exchange].client].deadline.clear()
        memory.output.clear()
        writeRequestHead(head, exchange)
        exchanges[exchange].head.append(memory.output.bytes)
        connect(exchange)
    }

    // MARK: Choosing

    /// Where the search for an upstream begins.
    private func firstCandidate(of site: SlotID, for client: SlotID) -> Int {
        let count = tables.sites[site].view.upstreamCount
        guard count > 1 else { return 0 }
        switch tables.sites[site].view.balance {
        case .roundRobin: return tables.sites[site].takeTurn(of: count)
        case .ipHash: return Int(clients[client].peer.hash % UInt32(count))
        case .leastConnections:
            let start = tables.sites[site].takeTurn(of: count)
            var best = start
            var fewest = Int.max
            for offset in 0..<count {
                let index = (start + offset) % count
                guard let pool = tables.pool(tables.sites[site].view.upstream(index)),
                    unsafe tables.pools[pool].isAvailable(at: clock.milliseconds), tables.pools[pool].active < fewest
                else { continue }
                (best, fewest) = (index, tables.pools[pool].active)
            }
            return best
        }
    }

    /// Gives an exchange the next upstream that can take it; when none can, the next whatever its state: the answer is then
    /// its error. False when the site has none that is known.
    private func assign(_ exchange: SlotID) -> Bool {
        let site = exchanges[exchange].site
        let count = tables.sites[site].view.upstreamCount
        var chosen: SlotID?
        var place = 0
        for offset in 0..<count {
            let index = (exchanges[exchange].nextCandidate + offset) % count
            guard let pool = tables.pool(tables.sites[site].view.upstream(index)) else { continue }
            let isAvailable = unsafe tables.pools[pool].isAvailable(at: clock.milliseconds)
            if isAvailable || chosen == nil { (chosen, place) = (pool, index) }
            if isAvailable { break }
        }
        guard let chosen else { return false }
        // Another try goes to another one.
        exchanges[exchange].nextCandidate = (place + 1) % count
        exchanges[exchange].tries += 1
        exchanges[exchange].addressTries = 0
        exchanges[exchange].pool = chosen
        tables.pools[chosen].active += 1
        return true
    }

    /// An exchange is no longer with an upstream.
    func leave(pool id: SlotID) {
        tables.pools[id].active -= 1
        if tables.pools[id].isRetired, tables.pools[id].active == 0 { retire(pool: id) }
    }

    // MARK: Connecting

    /// Finds a connection for an exchange: one that waits in the pool, or a new one.
    func connect(_ exchange: SlotID) {
        let pool = exchanges[exchange].pool
        if let idle = takeIdle(from: pool) {
            exchanges[exchange].upstream = idle
            upstreams[idle].exchange = exchange
            upstreams[idle].phase = .active
            metrics.add(.upstreamReuses, 1)
            return sendRequest(exchange)
        }
        guard !tables.pools[pool].addresses.isEmpty else {
            return upstreamFailed(exchange, tables.pools[pool].resolutionFailure, canTryOthers: true)
        }
        let turn = unsafe tables.pools[pool].takeTurn(at: clock.milliseconds)
        exchanges[exchange].address = turn
        let address = tables.pools[pool].addresses[turn]
        do throws(SystemFailure) {
            let descriptor = try Socket.make(family: address.family)
            // Owns the descriptor from here on.
            let connection = UpstreamConnection(
                transport: Transport(descriptor: descriptor), pool: pool, phase: .connecting, exchange: exchange)
            if !address.isUnix { Socket.setNoDelay(descriptor) }
            let isConnected = try Socket.connect(descriptor, to: address)
            guard let id = upstreams.insert(connection) else { throw SystemFailure("connect", code: 0) }
            exchanges[exchange].upstream = id
            try poller.add(descriptor, Token(.upstream, id))
            setDeadline(upstream: id, inMilliseconds: tables.sites[exchanges[exchange].site].view.connectMilliseconds)
            metrics.add(.upstreamConnections, 1)
            if isConnected { upstreamConnected(id) }
        } catch {
            let upstream = exchanges[exchange].upstream
            if !upstream.isNone {
                exchanges[exchange].upstream = .none
                close(upstream: upstream)
            }
            upstreamFailed(exchange, SystemFailure.text(error.code), canTryOthers: true)
        }
    }

    /// A new connection is up: TLS where it is wanted, then the request.
    func upstreamConnected(_ id: SlotID) {
        let pool = upstreams[id].pool
        guard let serverName = tables.pools[pool].definition.serverName else {
            upstreams[id].phase = .active
            return sendRequest(upstreams[id].exchange)
        }
        guard case .known(let trust) = tables.pools[pool].definition.trust else {
            if case .unusable(let reason) = tables.pools[pool].definition.trust { upstreamBroke(id, reason) }
            return
        }
        do throws(PKIError) {
            let context = try clientContext(trust)
            upstreams[id].transport.tls = try TLSConnection(client: context, wire: memory.wire, serverName: serverName)
            upstreams[id].phase = .handshake
            continueUpstreamHandshake(id, hasInput: false)
        } catch {
            upstreamBroke(id, "\(error)")
        }
    }

    private func clientContext(_ trust: TLSClientContext.Trust) throws(PKIError) -> TLSClientContext {
        if let context = clientTLS[trust] { return context }
        let context = try TLSClientContext(trust: trust)
        clientTLS[trust] = context
        return context
    }

    /// Sends an exchange's request on its connection, which is up.
    func sendRequest(_ exchange: SlotID) {
        let id = exchanges[exchange].upstream
        let hasBody = !exchanges[exchange].isRequestComplete
        var head = exchanges[exchange].head.bytes
        let hostOffset = exchanges[exchange].hostOffset
        if hostOffset > 0 {
            memory.output.clear()
            memory.output.append(head[0..<hostOffset])
            memory.output.append(tables.pools[exchanges[exchange].pool].definition.authority)
            memory.output.append(head.from(hostOffset))
            head = memory.output.bytes
        }
        if let failure = upstreams[id].transport.send(head, memory.wire, more: hasBody) {
            return upstreamBroke(id, failure.reason)
        }
        let view = tables.sites[exchanges[exchange].site].view
        setDeadline(
            upstream: id,
            inMilliseconds: hasBody ? max(view.readMilliseconds, view.writeMilliseconds) : view.readMilliseconds)
        let client = exchanges[exchange].client
        guard hasBody, !client.isNone else {
            if !client.isNone { clients[client].deadline.clear() }
            return
        }
        if exchanges[exchange].expectsContinue {
            exchanges[exchange].expectsContinue = false
            guard deliver(Bytes.interimContinue, to: client) else { return }
        }
        unsafe setDeadline(client: client, inMilliseconds: settings.bodyProgressMilliseconds)
        enqueue(client: client)
    }

    // MARK: Failing

    /// A connection broke, or never came to be.
    func upstreamBroke(_ id: SlotID, _ reason: String, timedOut: Bool = false) {
        let exchange = upstreams[id].exchange
        let neverUp = upstreams[id].phase == .connecting || upstreams[id].phase == .handshake
        let wasReused = upstreams[id].isReused
        exchanges[exchange].upstream = .none
        close(upstream: id)
        upstreamFailed(exchange, reason, canTryOthers: neverUp, wasReused: wasReused, timedOut: timedOut)
    }

    /// No connection was had to one of an upstream's addresses: the next one gets a try. False when all have had theirs.
    private func tryNextAddress(_ exchange: SlotID) -> Bool {
        let pool = exchanges[exchange].pool
        let count = tables.pools[pool].addresses.count
        guard count > 1 else { return false }
        unsafe tables.pools[pool].skip(exchanges[exchange].address, at: clock.milliseconds)
        exchanges[exchange].addressTries += 1
        guard exchanges[exchange].addressTries < count else { return false }
        metrics.add(.upstreamRetries, 1)
        connect(exchange)
        return true
    }

    /// An upstream could not do its part of an exchange: another gets a try, or the client learns of it.
    ///
    /// Others may be tried when nothing was sent (`canTryOthers`), and once when the request can be repeated without harm
    /// (RFC 9110 section 9.2.2) and no byte had come back. A chunked body, an empty one too, is not kept to be sent again.
    func upstreamFailed(
        _ exchange: SlotID, _ reason: String, canTryOthers: Bool, wasReused: Bool = false, timedOut: Bool = false
    ) {
        if canTryOthers, tryNextAddress(exchange) { return }
        let pool = exchanges[exchange].pool
        // A connection that had waited is closed by its server at any time: that says nothing about the server.
        if !wasReused { noteFailure(of: pool) }
        let client = exchanges[exchange].client
        guard !client.isNone else { return healthCheckEnded(exchange, isHealthy: false, reason) }
        let site = exchanges[exchange].site
        let count = tables.sites[site].view.upstreamCount
        let canRepeat =
            !exchanges[exchange].hasResponseBytes && exchanges[exchange].isRequestComplete
            && exchanges[exchange].bodyBytesReceived == 0 && !exchanges[exchange].sendsChunks
            && exchanges[exchange].method.isIdempotent
            && exchanges[exchange].retries == 0 && (count > 1 || wasReused) && !timedOut
        let canMoveOn = canTryOthers && exchanges[exchange].tries < count
        if canRepeat || canMoveOn {
            if !canMoveOn { exchanges[exchange].retries += 1 }
            metrics.add(.upstreamRetries, 1)
            exchanges[exchange].pool = .none
            leave(pool: pool)
            if wasReused { exchanges[exchange].tries -= 1 }
            guard assign(exchange) else { return answer(exchange, 502) }
            return connect(exchange)
        }
        metrics.add(.upstreamFailures, 1)
        let addresses = tables.pools[pool].addresses.count
        let isAboutAll = canTryOthers && addresses > 1
        report(
            .upstreamFailed(
                host: tables.sites[site].site.name, upstream: tables.pools[pool].definition.upstream.text,
                reason: isAboutAll ? "\(reason) (and all of its \(addresses) addresses were tried)" : reason,
                requestID: exchanges[exchange].requestID.text))
        guard !exchanges[exchange].hasResponseHead else { return abort(client) }
        exchanges[exchange].keepsUpstream = false
        answer(exchange, timedOut ? 504 : 502)
    }

    private func noteFailure(of pool: SlotID) {
        tables.pools[pool].failures += 1
        guard tables.pools[pool].failures >= UpstreamPool.failuresToEject,
            unsafe tables.pools[pool].ejectedUntil <= clock.milliseconds
        else { return }
        tables.pools[pool].ejectedUntil = unsafe clock.milliseconds + UpstreamPool.ejectionMilliseconds
        metrics.add(.upstreamEjections, 1)
        report(
            .upstreamEjected(
                tables.pools[pool].definition.upstream.text, seconds: Int(UpstreamPool.ejectionMilliseconds / 1000)))
    }
}

extension HTTP1.Method {
    /// Whether doing it twice is as good as once (RFC 9110 section 9.2.2).
    var isIdempotent: Bool {
        switch self {
        case .get, .head, .options, .put, .delete, .trace: true
        case .post, .patch, .connect, .other: false
        }
    }
}

extension Bytes {
    /// The answer that lets a client send its body.
    static var interimContinue: Bytes {
        let text: StaticString = "HTTP/1.1 100 Continue\r\n\r\n"
        return unsafe Bytes(text.utf8Start, count: text.utf8CodeUnitCount)
    }
}
