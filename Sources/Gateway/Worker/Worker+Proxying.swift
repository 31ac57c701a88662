import HTTP1
import PKI

extension Worker {
    /// Passes a request on to an upstream of its site.
    func beginProxying(_ head: Bytes, _ exchange: SlotID) {
        memory.output.clear()
        writeRequestHead(head, exchange)
        exchanges[exchange].request.append(memory.output.bytes)
        if tables.sites[exchanges[exchange].site].view.balance == .ipHash {
            // When the body is collected, `sender` is another request's.
            exchanges[exchange].clientHash = unsafe (sender.proxied ?? clients[exchanges[exchange].client].peer).hash
        }
        guard !exchanges[exchange].isRequestComplete else { return takeUpstream(exchange) }
        let client = exchanges[exchange].client
        beginBody(of: client)
        guard unsafe settings.bodyBufferBytes > 0 else { return takeUpstream(exchange) }
        exchanges[exchange].isCollecting = true
        guard tellToContinue(exchange) else { return }
        expectBody(of: client, received: 0)
    }

    /// Takes an upstream for a request that is ready to go.
    func takeUpstream(_ exchange: SlotID) {
        let client = exchanges[exchange].client
        exchanges[exchange].nextCandidate = firstCandidate(
            of: exchanges[exchange].site, clientHash: exchanges[exchange].clientHash)
        guard assign(exchange) else { return answer(exchange, 502) }
        // From here on it is the upstream that may take its time.
        clients[client].deadline.clear()
        connect(exchange)
    }

    /// Lets a client send its body that waits for that (RFC 9110 section 10.1.1). False when it is gone.
    private func tellToContinue(_ exchange: SlotID) -> Bool {
        guard exchanges[exchange].expectsContinue else { return true }
        exchanges[exchange].expectsContinue = false
        return deliver(Bytes.interimContinue, to: exchanges[exchange].client)
    }

    // MARK: Choosing

    /// Where the search for an upstream begins.
    private func firstCandidate(of site: SlotID, clientHash: UInt32) -> Int {
        let count = tables.sites[site].view.upstreamCount
        guard count > 1 else { return 0 }
        switch tables.sites[site].view.balance {
        case .roundRobin: return tables.sites[site].takeTurn(of: count)
        case .ipHash: return Int(clientHash % UInt32(count))
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
        if !exchanges[exchange].wantsNewConnection, let idle = takeIdle(from: pool) {
            exchanges[exchange].upstream = idle
            upstreams[idle].exchange = exchange
            upstreams[idle].phase = .active
            metrics.add(.upstreamReuses, 1)
            return sendRequest(exchange)
        }
        guard !tables.pools[pool].addresses.isEmpty else {
            return upstreamFailed(exchange, tables.pools[pool].resolutionFailure, .resolve, canTryOthers: true)
        }
        let turn = unsafe tables.pools[pool].takeTurn(at: clock.milliseconds)
        exchanges[exchange].address = turn
        let address = tables.pools[pool].addresses[turn]
        do throws(SystemFailure) {
            let descriptor = try makeUpstreamSocket(family: address.family)
            // Owns the descriptor from here on.
            let connection = UpstreamConnection(
                transport: Transport(descriptor: descriptor), pool: pool, address: address, phase: .connecting,
                exchange: exchange)
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
            upstreamFailed(exchange, SystemFailure.text(error.code), .connect, canTryOthers: true)
        }
    }

    /// A new connection is up: TLS where it is wanted, then the request.
    func upstreamConnected(_ id: SlotID) {
        let pool = upstreams[id].pool
        guard let serverName = tables.pools[pool].definition.serverName else {
            // What has come unasked would be taken for the answer, and that for the next one's.
            guard upstreams[id].transport.isSilent() else { return upstreamBroke(id, Self.unasked, .malformed) }
            return sendFirstRequest(on: id)
        }
        guard case .known(let context) = tables.pools[pool].definition.trust else {
            if case .unusable(let reason) = tables.pools[pool].definition.trust { upstreamBroke(id, reason, .tls) }
            return
        }
        do throws(PKIError) {
            upstreams[id].transport.tls = try TLSConnection(
                client: context, wire: memory.wire, serverName: serverName, group: tables.pools[pool].group)
            upstreams[id].phase = .handshake
            continueUpstreamHandshake(id, hasInput: false)
        } catch {
            upstreamBroke(id, "\(error)", .tls)
        }
    }

    /// Why a connection is not used that was not silent before its first request.
    static let unasked = "it sent something, or closed the connection, before the request"

    /// Sends the first request on a new connection, which is up.
    func sendFirstRequest(on id: SlotID) {
        upstreams[id].phase = .active
        upstreams[id].sentBeforeRequests = upstreams[id].transport.sentBytes
        sendRequest(upstreams[id].exchange)
    }

    /// Sends an exchange's request on its connection, which is up.
    func sendRequest(_ exchange: SlotID) {
        let id = exchanges[exchange].upstream
        exchanges[exchange].sentAt = unsafe clock.nanoseconds
        let request = exchanges[exchange].request.bytes
        let hostOffset = exchanges[exchange].hostOffset
        var failure: TransportFailure?
        var isUntouched = true
        if hostOffset > 0 {
            memory.output.clear()
            memory.output.append(request[0..<hostOffset])
            memory.output.append(tables.pools[exchanges[exchange].pool].definition.authority)
            let second = min(request.count, hostOffset + memory.output.room)
            memory.output.append(request[hostOffset..<second])
            failure = upstreams[id].transport.send(memory.output.bytes, memory.wire)
            if failure == nil, second < request.count {
                isUntouched = false
                failure = upstreams[id].transport.send(request.from(second), memory.wire)
            }
        } else {
            failure = upstreams[id].transport.send(request, memory.wire)
        }
        if let failure {
            // One piece is sent by one call, or not at all.
            isUntouched = isUntouched && request.count <= WorkerMemory.readBytes / 2
            return upstreamBroke(id, failure.reason, isUntouched: isUntouched)
        }
        let client = exchanges[exchange].client
        guard !client.isNone else {
            let view = tables.sites[exchanges[exchange].site].view
            return setDeadline(upstream: id, inMilliseconds: view.readMilliseconds)
        }
        if !exchanges[exchange].isRequestComplete {
            guard tellToContinue(exchange) else { return }
            beginBody(of: client)
            enqueue(client: client)
        } else if upstreams[id].transport.isFlushed {
            // The client's deadline was cleared when the upstream was taken.
            let view = tables.sites[exchanges[exchange].site].view
            return setDeadline(upstream: id, inMilliseconds: view.readMilliseconds)
        }
        awaitProgress(exchange)
    }

    // MARK: Failing

    /// A connection broke, or never came to be. `isUntouched`: nothing of the request was sent on it. `fault`: what the metrics
    /// say; nil for what the connection's phase does.
    func upstreamBroke(
        _ id: SlotID, _ reason: String, _ fault: UpstreamFault? = nil, timedOut: Bool = false, isUntouched: Bool = false
    ) {
        let exchange = upstreams[id].exchange
        let phase = upstreams[id].phase
        let neverUp = phase == .connecting || phase == .handshake
        let known: UpstreamFault =
            timedOut ? .timeout : phase == .connecting ? .connect : phase == .handshake ? .tls : .closed
        let wasReused = upstreams[id].isReused
        exchanges[exchange].upstream = .none
        close(upstream: id)
        if wasReused, isUntouched || canRepeat(exchange), !timedOut { return repeatOnNewConnection(exchange) }
        upstreamFailed(
            exchange, reason, fault ?? known, canTryOthers: neverUp, wasReused: wasReused, timedOut: timedOut)
    }

    /// Whether a request can be sent again without harm (RFC 9110 section 9.2.2): no byte of an answer has come, and all of
    /// the request is kept. That happens once.
    private func canRepeat(_ exchange: SlotID) -> Bool {
        !exchanges[exchange].hasResponseBytes && exchanges[exchange].isRequestComplete
            && exchanges[exchange].keepsRequest && exchanges[exchange].method.isIdempotent
            && exchanges[exchange].retries == 0
    }

    /// Sends a request again to the same upstream: its server has closed a connection that had waited. Others that wait may
    /// be dead too.
    private func repeatOnNewConnection(_ exchange: SlotID) {
        exchanges[exchange].retries += 1
        exchanges[exchange].wantsNewConnection = true
        metrics.add(.upstreamRetries, 1)
        connect(exchange)
    }

    /// No connection was made to one of an upstream's addresses: the next one is tried. False when all were tried.
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
    /// Others may be tried when nothing was sent (`canTryOthers`), and once when the request can be repeated.
    func upstreamFailed(
        _ exchange: SlotID, _ reason: String, _ fault: UpstreamFault, canTryOthers: Bool, wasReused: Bool = false,
        timedOut: Bool = false
    ) {
        if canTryOthers { askForPlace(of: exchanges[exchange].pool) }
        if canTryOthers, tryNextAddress(exchange) { return }
        let pool = exchanges[exchange].pool
        // A connection that had waited is closed by its server at any time: that says nothing about the server.
        if !wasReused { noteFailure(of: pool) }
        let client = exchanges[exchange].client
        guard !client.isNone else { return healthCheckEnded(exchange, isHealthy: false, reason) }
        let site = exchanges[exchange].site
        let count = tables.sites[site].view.upstreamCount
        let canMoveOn = canTryOthers && exchanges[exchange].tries < count
        if canMoveOn || canRepeat(exchange) && count > 1 && !timedOut {
            if !canMoveOn { exchanges[exchange].retries += 1 }
            metrics.add(.upstreamRetries, 1)
            exchanges[exchange].pool = .none
            leave(pool: pool)
            guard assign(exchange) else { return answer(exchange, 502) }
            return connect(exchange)
        }
        metrics.add(fault.counter, 1)
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

/// Why an upstream has not answered, as the metrics tell it.
enum UpstreamFault: String, CaseIterable {
    /// Its name has no address.
    case resolve
    case connect, timeout, tls
    /// The connection ended before the response did.
    case closed
    /// What it sent is no response to the request.
    case malformed

    var counter: WorkerMetrics.Counter {
        switch self {
        case .resolve: .upstreamsUnresolved
        case .connect: .upstreamsUnreached
        case .timeout: .upstreamsTimedOut
        case .tls: .upstreamsWithoutTLS
        case .closed: .upstreamsClosed
        case .malformed: .upstreamsMalformed
        }
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
