import Glibc
import HTTP1
import PKI

extension Worker {
    /// Writes the request's head for an upstream. The first part of the request's body, if there is a body, is
    /// collected before an upstream is chosen.
    func beginProxying(_ head: Bytes, _ exchange: SlotID) {
        exchanges[exchange].usesHTTP2 = usesHTTP2(exchange)
        memory.output.clear()
        writeRequestHead(head, exchange)
        exchanges[exchange].headBytes = memory.output.count
        exchanges[exchange].request.append(memory.output.bytes)
        if tables.sites[exchanges[exchange].site].view.balance == .ipHash {
            // When the body has been collected, `sender` may belong to another request. So the hash is computed now.
            exchanges[exchange].clientHash = (sender.proxied ?? clients[exchanges[exchange].client].peer).hash
        }
        guard !exchanges[exchange].isRequestComplete else { return chooseUpstream(exchange) }
        let client = exchanges[exchange].client
        beginBody(of: client)
        // The first message of a call may be all that the client sends until it gets an answer.
        guard settings.bodyBufferBytes > 0, !exchanges[exchange].isGRPC else { return chooseUpstream(exchange) }
        exchanges[exchange].isCollecting = true
        guard tellToContinue(exchange) else { return }
        expectBody(of: client, received: 0)
    }

    /// Whether an upstream gets the request in `requestHead` by HTTP/2. Upgrades need HTTP/1.1.
    private func usesHTTP2(_ exchange: SlotID) -> Bool {
        switch tables.sites[exchanges[exchange].site].view.upstreamProtocol {
        case .http1: false
        case .http2ForCalls: exchanges[exchange].isGRPC
        case .http2: requestHead.upgrade == nil
        }
    }

    /// Chooses an upstream for a request that is ready to be sent, and connects to the upstream.
    func chooseUpstream(_ exchange: SlotID) {
        let client = exchanges[exchange].client
        exchanges[exchange].attempts.begin(
            with: firstCandidate(of: exchanges[exchange].site, clientHash: exchanges[exchange].clientHash))
        guard assign(exchange) else { return answer(exchange, 502) }
        // The upstream must act next. So its own deadline applies, and the client's deadline is cleared.
        clients[client].deadline.clear()
        connect(exchange)
    }

    /// Sends status 100 to a client that waits for it (RFC 9110 section 10.1.1). Returns false if the client's
    /// connection is broken.
    func tellToContinue(_ exchange: SlotID) -> Bool {
        guard exchanges[exchange].expectsContinue else { return true }
        exchanges[exchange].expectsContinue = false
        return deliver(Bytes.interimContinue, to: exchanges[exchange].client)
    }

    // MARK: Choosing an upstream

    /// The index of the upstream that is tried first. If that upstream is not available, the next upstreams are tried.
    private func firstCandidate(of site: SlotID, clientHash: UInt32) -> Int {
        let count = tables.sites[site].view.upstreamCount
        guard count > 1 else { return 0 }
        switch tables.sites[site].view.balance {
        case .roundRobin: return tables.sites[site].chooseNextUpstream(of: count)
        case .ipHash: return Int(clientHash % UInt32(count))
        case .leastConnections:
            let start = tables.sites[site].chooseNextUpstream(of: count)
            var best = start
            var fewest = Int.max
            for offset in 0..<count {
                let index = (start + offset) % count
                guard let pool = tables.pool(tables.sites[site].view.upstream(index)),
                    tables.pools[pool].isAvailable(at: clock.milliseconds), tables.pools[pool].active < fewest
                else { continue }
                (best, fewest) = (index, tables.pools[pool].active)
            }
            return best
        }
    }

    /// Assigns the first available upstream, starting with `candidate`. If no upstream is available, an unavailable
    /// upstream is assigned, and the client gets the error that results. Returns false if the site has no known
    /// upstream.
    private func assign(_ exchange: SlotID) -> Bool {
        let site = exchanges[exchange].site
        let count = tables.sites[site].view.upstreamCount
        var chosen: SlotID?
        var place = 0
        for offset in 0..<count {
            let index = (exchanges[exchange].attempts.candidate + offset) % count
            guard let pool = tables.pool(tables.sites[site].view.upstream(index)) else { continue }
            let isAvailable = tables.pools[pool].isAvailable(at: clock.milliseconds)
            if isAvailable || chosen == nil { (chosen, place) = (pool, index) }
            if isAvailable { break }
        }
        guard let chosen else { return false }
        exchanges[exchange].attempts.assign(place, of: count)
        exchanges[exchange].pool = chosen
        tables.pools[chosen].active += 1
        return true
    }

    /// Called when an exchange no longer uses an upstream.
    func leave(pool id: SlotID) {
        tables.pools[id].active -= 1
        if tables.pools[id].isRetired, tables.pools[id].active == 0 { retire(pool: id) }
    }

    // MARK: Connecting

    /// Gets a connection for an exchange: an idle connection of the pool, or a new one. With HTTP/2, each exchange gets a stream
    /// of a connection to the next address.
    func connect(_ exchange: SlotID) {
        let pool = exchanges[exchange].pool
        var turn: Int?
        if exchanges[exchange].usesHTTP2 {
            turn = tables.pools[pool].chooseAddress(at: clock.milliseconds)
            if let carrier = carrier(of: pool, to: turn) { return beginStream(exchange, on: carrier) }
        } else if !exchanges[exchange].attempts.wantsNewConnection, let idle = takeIdle(from: pool) {
            exchanges[exchange].upstream = idle
            upstreams[idle].exchange = exchange
            upstreams[idle].phase = .active
            metrics.add(.upstreamReuses, 1)
            return sendRequest(exchange)
        }
        guard let turn = turn ?? tables.pools[pool].chooseAddress(at: clock.milliseconds) else {
            return attemptFailed(
                exchange, Attempts.Failure(isBeforeRequest: true), tables.pools[pool].resolutionFailure, .resolve)
        }
        do throws(SystemFailure) {
            let (id, isConnected) = try openConnection(to: pool, turn, for: exchange)
            if exchanges[exchange].usesHTTP2 {
                guard beginHTTP2(on: id) else { throw SystemFailure("connect", code: ENOMEM) }
                beginStream(exchange, on: id)
            } else {
                upstreams[id].exchange = exchange
                exchanges[exchange].upstream = id
            }
            if isConnected { upstreamConnected(id) }
        } catch {
            attemptFailed(
                exchange, Attempts.Failure(isBeforeRequest: true), SystemFailure.text(error.code), .connect)
        }
    }

    /// Begins a connection to an upstream's address with the index `turn`.
    private func openConnection(
        to pool: SlotID, _ turn: Int, for exchange: SlotID
    ) throws(SystemFailure) -> (SlotID, isConnected: Bool) {
        exchanges[exchange].address = turn
        let address = tables.pools[pool].addresses[turn]
        let descriptor = try makeUpstreamSocket(family: address.family)
        // From here on `connection` owns the descriptor and closes it.
        var connection = UpstreamConnection(
            transport: Transport(descriptor: descriptor, quietRecords: QuietRecords.ofServers), pool: pool,
            address: address, openedAt: clock.milliseconds, phase: .connecting, exchange: .none)
        connection.addressIndex = turn
        if !address.isUnix { Socket.setNoDelay(descriptor) }
        let isConnected = try Socket.connect(descriptor, to: address)
        guard let id = upstreams.insert(connection) else { throw SystemFailure("connect", code: 0) }
        do throws(SystemFailure) {
            try poller.add(descriptor, Token(.upstream, id))
        } catch {
            close(upstream: id)
            throw error
        }
        setDeadline(upstream: id, inMilliseconds: tables.sites[exchanges[exchange].site].view.connectMilliseconds)
        metrics.add(.upstreamConnections, 1)
        return (id, isConnected)
    }

    /// Called when a connection to an upstream is established. A TLS handshake follows if needed, and then the request.
    func upstreamConnected(_ id: SlotID) {
        let pool = upstreams[id].pool
        guard let serverName = tables.pools[pool].definition.serverName else {
            if upstreams[id].http2 != nil { return beginMultiplexing(upstream: id) }
            // The bytes are not read, since `memory.plain` may hold a client's bytes.
            return upstreams[id].transport.isSilent() ? upstreamReady(id) : hearSomething(id, .bytes)
        }
        guard case .known(let context, let rules, let shown)? = tables.pools[pool].definition.trust else {
            return upstreamBroke(id, tables.pools[pool].definition.trust?.failure ?? "nobody is trusted", .tls)
        }
        do throws(PKIError) {
            let connection = try TLSConnection(
                client: context, wire: memory.wire, serverName: serverName, group: tables.pools[pool].group)
            if upstreams[id].http2 != nil, !connection.offerHTTP2() {
                return upstreamBroke(id, "OpenSSL can't offer HTTP/2", .tls)
            }
            if let rules, !connection.verify(by: rules) {
                return upstreamBroke(id, "OpenSSL can't verify by the CAs of ca_file", .tls)
            }
            if let shown, !connection.show(shown.credential) {
                return upstreamBroke(id, "OpenSSL can't show the certificate of the gateway's identity", .tls)
            }
            if tables.pools[pool].sessionScope == 0 { tables.pools[pool].sessionScope = sessions.makeScope() }
            connection.useSessions(
                of: sessions,
                for: .init(scope: tables.pools[pool].sessionScope, address: upstreams[id].address.bytes),
                offers: !carried(by: id).contains { exchanges[$0].attempts.wantsFullHandshake }, now: clock.seconds)
            upstreams[id].transport.tls = consume connection
            upstreams[id].phase = .handshake
            continueUpstreamHandshake(id, hasInput: false)
        } catch {
            upstreamBroke(id, "\(error)", .tls)
        }
    }

    /// Called when a new connection is ready for its first request. If it is unknown whether the upstream waits for
    /// requests, the gateway listens for a moment before it sends the request.
    func upstreamReady(_ id: SlotID) {
        guard !tables.pools[upstreams[id].pool].habits.waitsForRequests else { return sendFirstRequest(on: id) }
        upstreams[id].phase = .listening
        // A server may hold its bytes back until those of its handshake are acknowledged (Nagle's algorithm).
        Socket.acknowledge(upstreams[id].transport.descriptor)
        let connecting = clock.milliseconds - upstreams[id].openedAt
        setDeadline(upstream: id, inMilliseconds: max(UpstreamHabits.listeningMilliseconds, connecting))
    }

    func sendFirstRequest(on id: SlotID) {
        upstreams[id].phase = .active
        sendRequest(upstreams[id].exchange)
    }

    /// Sends an exchange's request on its upstream connection. The connection must be ready.
    func sendRequest(_ exchange: SlotID) {
        let id = exchanges[exchange].upstream
        exchanges[exchange].sentAt = clock.nanoseconds
        upstreams[id].sentBeforeRequest = upstreams[id].transport.sentBytes
        if upstreams[id].isStream {
            sendOnStream(exchange)
        } else {
            let (failure, isUntouched) = sendOnConnection(exchange)
            if let failure { return upstreamBroke(id, failure.reason, isUntouched: isUntouched) }
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
            // The client's deadline was already cleared when the upstream was chosen.
            let view = tables.sites[exchanges[exchange].site].view
            return setDeadline(upstream: id, inMilliseconds: view.readMilliseconds)
        }
        awaitProgress(exchange)
    }

    /// Writes a request in the form of HTTP/1.1.
    ///
    /// - Returns: Why the connection is broken, or nil. If the connection is broken, `isUntouched` says that no byte of
    ///   the request was sent.
    private func sendOnConnection(_ exchange: SlotID) -> (TransportFailure?, isUntouched: Bool) {
        let id = exchanges[exchange].upstream
        let request = exchanges[exchange].request.bytes
        let hostOffset = exchanges[exchange].hostOffset
        // A short request is sent by one system call. If that call fails, no byte of the request was sent.
        let isShort = request.count <= WorkerMemory.readBytes / 2
        guard hostOffset > 0 else { return (upstreams[id].transport.send(request, memory.wire), isShort) }
        memory.output.clear()
        memory.output.append(request[0..<hostOffset])
        memory.output.append(tables.pools[exchanges[exchange].pool].definition.authority)
        let second = min(request.count, hostOffset + memory.output.room)
        memory.output.append(request[hostOffset..<second])
        let failure = upstreams[id].transport.send(memory.output.bytes, memory.wire)
        guard failure == nil, second < request.count else { return (failure, isShort) }
        return (upstreams[id].transport.send(request.from(second), memory.wire), false)
    }

    // MARK: Failures

    /// Handles a connection that has broken, or could not be established. With `isUntouched`, no byte of the request
    /// was sent on the connection. `fault` is counted in the metrics; if nil, the connection's phase determines it.
    func upstreamBroke(
        _ id: SlotID, _ reason: String, _ fault: UpstreamFault? = nil, timedOut: Bool = false,
        isUntouched: Bool = false, isRefused: Bool = false
    ) {
        let phase = upstreams[id].phase
        let known: UpstreamFault =
            timedOut ? .timeout : phase == .connecting ? .connect : phase == .handshake ? .tls : .closed
        if upstreams[id].http2 != nil { return carrierBroke(id, reason, fault ?? known, timedOut: timedOut) }
        let exchange = upstreams[id].exchange
        let failure = Attempts.Failure(
            isBeforeRequest: phase == .connecting || phase == .handshake || phase == .listening,
            isUntouched: isUntouched, wasReused: upstreams[id].isReused,
            isRefused: isRefused && exchanges[exchange].keepsRequest && !exchanges[exchange].hasResponseBytes,
            timedOut: timedOut)
        if fault == .malformed, !upstreams[id].isStream { noteUnasked(id) }
        exchanges[exchange].upstream = .none
        close(upstream: id)
        attemptFailed(exchange, failure, reason, fault ?? known)
    }

    /// Handles the failure of an attempt. The request is sent again if `Attempts` allows it. Otherwise the client gets
    /// an error.
    private func attemptFailed(
        _ exchange: SlotID, _ failure: Attempts.Failure, _ reason: String, _ fault: UpstreamFault
    ) {
        let pool = exchanges[exchange].pool
        let addresses = tables.pools[pool].addresses.count
        let next = exchanges[exchange].attempts.next(
            after: failure, isRepeatable: exchanges[exchange].isRepeatable, addresses: addresses,
            upstreams: exchanges[exchange].client.isNone
                ? 0 : tables.sites[exchanges[exchange].site].view.upstreamCount)
        if failure.isBeforeRequest {
            requestResolution(of: pool)
            if addresses > 1 { tables.pools[pool].skip(exchanges[exchange].address, at: clock.milliseconds) }
        }
        if next != .none { metrics.add(.upstreamRetries, 1) }
        switch next {
        case .newConnection, .nextAddress: connect(exchange)
        case .nextUpstream:
            noteFailure(of: pool, failure)
            exchanges[exchange].pool = .none
            leave(pool: pool)
            assign(exchange) ? connect(exchange) : answer(exchange, 502)
        case .none:
            noteFailure(of: pool, failure)
            let isAboutAll = failure.isBeforeRequest && addresses > 1
            attemptsEnded(
                exchange, isAboutAll ? "\(reason) (and all of its \(addresses) addresses were tried)" : reason, fault,
                timedOut: failure.timedOut)
        }
    }

    /// Called when a request could not be answered, and can't be sent again.
    private func attemptsEnded(_ exchange: SlotID, _ reason: String, _ fault: UpstreamFault, timedOut: Bool) {
        let client = exchanges[exchange].client
        guard !client.isNone else { return healthCheckEnded(exchange, isHealthy: false, reason) }
        metrics.add(fault.counter, 1)
        report(
            .upstreamFailed(
                host: tables.sites[exchanges[exchange].site].site.name,
                upstream: tables.pools[exchanges[exchange].pool].definition.upstream.text, reason: reason,
                requestID: exchanges[exchange].requestID.text))
        guard !exchanges[exchange].hasResponseHead else {
            noteCut(exchange, timedOut ? "the upstream took too long" : "the upstream broke off its answer")
            return abort(client)
        }
        exchanges[exchange].keepsUpstream = false
        answer(exchange, timedOut ? 504 : 502)
    }

    /// Counts a failure of an upstream. The failure of a connection that was used before does not count, since a server
    /// may close an idle connection at any time.
    private func noteFailure(of pool: SlotID, _ failure: Attempts.Failure) {
        guard !failure.wasReused, tables.pools[pool].noteFailure(at: clock.milliseconds) else { return }
        metrics.add(.upstreamEjections, 1)
        report(
            .upstreamEjected(
                tables.pools[pool].definition.upstream.text, seconds: Int(UpstreamPool.ejectionMilliseconds / 1000)))
    }
}

/// Why an upstream did not answer. The metrics use these names as labels.
enum UpstreamFault: String, CaseIterable {
    /// The upstream's name could not be resolved to an address.
    case resolve
    case connect, timeout, tls
    /// The connection ended before the end of the response.
    case closed
    /// The upstream has sent bytes that are not a response to the request.
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
    /// Whether sending the request twice has the same effect as sending it once (RFC 9110 section 9.2.2).
    var isIdempotent: Bool {
        switch self {
        case .get, .head, .options, .put, .delete, .trace: true
        case .post, .patch, .connect, .other: false
        }
    }
}

extension Bytes {
    /// The interim response that asks a client to send its body (RFC 9110 section 15.2.1).
    static var interimContinue: Bytes { Bytes("HTTP/1.1 100 Continue\r\n\r\n") }
}
