import ConfigModel
import HTTP1
import Issuers
import PKI

extension Worker {
    /// Starts an exchange for a request. `head` is the complete head, which is parsed here.
    func beginExchange(_ head: Bytes, from id: SlotID) {
        clients[id].requests &+= 1
        metrics.add(.requests, 1)
        if let fault = requestHead.parse(head.span, limits: settings.headLimits) {
            return refuse(fault.status, fault.reason, id, isHead: head.beginsWithHEAD)
        }
        var exchange = Exchange(
            client: id, site: .none, method: requestHead.method,
            keepsClient: requestHead.keepAlive && !isDraining && !clients[id].isStream,
            startedAt: clock.nanoseconds)
        if clients[id].isStream {
            // HTTP/2 has frames, and the end of the stream is the end of the body. So the decoder needs no length.
            if clients[id].transport.stream?.hasBody == true { exchange.requestBody = BodyDecoder(.untilClose) }
        } else if requestHead.framing.hasBody {
            exchange.requestBody = BodyDecoder(requestHead.framing)
        }
        exchange.expectsContinue = requestHead.expectsContinue
        exchange.acceptsTrailers = requestHead.acceptsTrailers
        exchange.clientVersion = clients[id].isStream ? .http2 : requestHead.version == .http11 ? .http11 : .http10
        findSender(head, of: id)
        exchange.requestID = requestID(head)
        if clients[id].isStream, let type = requestHead.fields.first(.contentType) {
            exchange.isGRPC = Self.isCall(head[type.range])
        }
        if let accept = requestHead.fields.first(.accept) {
            exchange.wantsHTML = head[accept.range].starts(with: "text/html")
        }
        guard let exchangeID = exchanges.insert(exchange) else { return refuse(503, "too many requests at once", id) }
        clients[id].exchange = exchangeID
        if let log = accessLogs.current {
            exchanges[exchangeID].logNumber = log.number
            log.begin(
                &exchanges[exchangeID].logLine, head, requestHead, exchanges[exchangeID].clientVersion, sender,
                clients[id].peer, clients[connection(of: id)].proof.version, clock)
        }
        route(head, exchangeID, from: id)
    }

    /// If a trusted proxy sent an ID, the request keeps it. Otherwise the request gets a new ID.
    private func requestID(_ head: Bytes) -> RequestID {
        if sender.isTrusted, let range = requestHead.fields.first(.xRequestID),
            let given = RequestID(head[range.range])
        {
            return given
        }
        return random.next()
    }

    /// Decides who answers a request: the admin listener's handler, an ACME challenge, the site's fixed answer, or an
    /// upstream.
    private func route(_ head: Bytes, _ exchange: SlotID, from id: SlotID) {
        switch clients[id].listener {
        case .admin: return answerAsAdmin(head, exchange, from: id)
        case .node: return answerAsNode(head, exchange, from: id)
        case .http, .https: break
        }
        // The answer to TRACE contains the request, so a script could read cookies that it must not see.
        if exchanges[exchange].method == .trace {
            return refuseMethod(exchange, allowing: Self.methods)
        }
        if !clients[id].isTLS, answerChallenge(head, exchange, from: id) { return }
        let provenSite = clients[connection(of: id)].proof.site
        guard let site = tables.site(of: head[requestHead.host.range], likely: provenSite) else {
            return provenSite.isNone ? answer(exchange, 404) : misdirect(head, exchange, from: id)
        }
        let view = tables.sites[site].view
        if clients[id].isTLS, !isAdmitted(exchange, to: site, from: id) {
            return misdirect(head, exchange, from: id)
        }
        exchanges[exchange].site = site
        tables.use(site: site)
        if view.forcesHTTPS, !clients[id].isTLS, !sender.cameByHTTPS {
            return redirect(head, exchange)
        }
        // The request came without TLS, perhaps from a server that ends TLS in front of this gateway. So the gateway
        // has not verified the client's certificate.
        if view.clientCertificates.mode == .require, !clients[id].isTLS { return answer(exchange, 403) }
        if case .length(let length) = requestHead.framing, length > bodyLimit(view) {
            logError(exchange, Self.tooLarge)
            return answer(exchange, 413)
        }
        if view.respondStatus != 0 { return answerFixed(exchange) }
        if exchanges[exchange].method == .options, isForGateway(head) { return answerOptions(exchange) }
        beginProxying(head, exchange)
    }

    /// The value of Allow. Methods that are not listed here are passed on too.
    static let methods: StaticString = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

    /// Whether an OPTIONS request must not be passed on, since its Max-Forwards is 0 (RFC 9110 section 7.6.2).
    private func isForGateway(_ head: Bytes) -> Bool {
        for index in 0..<requestHead.fields.count where requestHead.fields[index].id == .maxForwards {
            if head[requestHead.fields[index].value.range].number == 0 { return true }
        }
        return false
    }

    /// Whether the connection may carry requests for the site. If not, the answer is 421.
    private func isAdmitted(_ exchange: SlotID, to site: SlotID, from id: SlotID) -> Bool {
        let isHTTP2 = clients[id].isStream
        let id = connection(of: id)
        // Nearly all requests are for their connection's own site, which asks for no certificate.
        if clients[id].proof.site == site, !tables.sites[site].view.asksForCertificates { return true }
        let admission = tables.admits(&clients[id].proof, to: site, isHTTP2: isHTTP2, now: clock.seconds) {
            clients[id].transport.tls?.peerChain ?? []
        }
        switch admission {
        case .admitted: return true
        case .misdirected: return false
        case .outdated(let refusal):
            if let refusal { refuseCertificate(refusal, of: id) }
            endConnection(id, after: exchange)
            return false
        }
    }

    /// Answers a request that its connection may not carry (RFC 9110 section 15.5.20). The connection ends if its handshake
    /// named the same host, since it can't carry any later request for this host either. That happens when the name has
    /// moved to another host, or the host was removed or now needs a newer TLS.
    private func misdirect(_ head: Bytes, _ exchange: SlotID, from id: SlotID) {
        let id = connection(of: id)
        if clients[id].proof.isFor(head[requestHead.host.range]) { endConnection(id, after: exchange) }
        answer(exchange, 421)
    }

    /// Lets a connection end after an exchange, so that the client makes a new handshake. Other streams of HTTP/2 that have
    /// begun are finished.
    private func endConnection(_ id: SlotID, after exchange: SlotID) {
        exchanges[exchange].keepsClient = false
        clients[id].http2?.refuseNewStreams()
    }

    /// The reason that the access log gives for status 413.
    private static let tooLarge: StaticString = "the body is too large"

    /// The largest body that the site accepts, in bytes.
    private func bodyLimit(_ view: SiteView) -> UInt64 {
        let limit = view.bodyBytes ?? settings.bodyBytes
        return limit == 0 ? .max : limit
    }

    /// Answers an ACME challenge (RFC 8555 section 8.3), before any redirect. Returns false if the request is for
    /// something else.
    private func answerChallenge(_ head: Bytes, _ exchange: SlotID, from id: SlotID) -> Bool {
        let path = head[requestHead.target.pathAndQuery.range]
        guard path.starts(with: "/.well-known/acme-challenge/"), requestHead.target.implied == nil else {
            return false
        }
        let token = path.from("/.well-known/acme-challenge/".utf8.count).copy
        guard let text = tables.challenges[token] ?? probeAnswer(to: token) else { return false }
        text.lendingBytes { answer(exchange, status: 200, type: "application/octet-stream", $0) }
        return true
    }

    /// Answers a check by aegis-apply, which sends a token to learn whether a CA would reach this gateway. Returns nil
    /// if the token does not come from such a check.
    private func probeAnswer(to token: [UInt8]) -> [UInt8]? {
        guard let identity, GatewayProbe.isToken(token) else { return nil }
        return GatewayProbe.answer(to: token, from: identity)
    }

    /// Passes a part of a request's body on to the upstream, or collects it.
    ///
    /// - Parameter pieces: How many pieces of bodies the connection has passed on in this turn. At `piecesATurn`, the
    ///   call returns although there are more.
    /// - Returns: The offset of the next byte to process. After the call the client may no longer exist.
    func relayRequestBody(_ bytes: Bytes, _ start: Int, of id: SlotID, _ pieces: inout Int) -> Int {
        let exchange = clients[id].exchange
        if exchanges[exchange].discardsRequestBody { return bytes.count }
        memory.output.clear()
        // The admin API has no site.
        let site = exchanges[exchange].site
        let limit = site.isNone ? UInt64(AdminRequest.maximumBodyBytes) : bodyLimit(tables.sites[site].view)
        var offset = start
        var chunk = OpenChunk()
        reading: while let step = exchanges[exchange].requestBody?.next(in: bytes.span, from: offset) {
            var piece = Bytes("")
            switch step {
            case .data(let start, let count):
                piece = bytes[start..<start + count]
                offset = start + count
            case .trailers(let start, let count):
                offset = start + count
                if exchanges[exchange].sendsTrailers {
                    exchanges[exchange].requestTrailers.append(bytes[start..<offset])
                }
            case .needMore: offset = bytes.count
            case .end(let end): offset = end
            case .malformed(let fault):
                failRequestBody(exchange, fault.status, fault.reason)
                return bytes.count
            }
            exchanges[exchange].bodyBytesReceived += UInt64(piece.count)
            // If the declared length is too large, the request is refused at once, before the whole body arrives.
            let received = exchanges[exchange].bodyBytesReceived
            guard received <= limit, exchanges[exchange].requestBody?.announced ?? 0 <= limit - received else {
                failRequestBody(exchange, 413, Self.tooLarge)
                return bytes.count
            }
            switch step {
            case .end:
                exchanges[exchange].requestBody = nil
                chunk.close(in: memory.output)
                if exchanges[exchange].sendsChunks { writeEndOfChunks(exchange) }
                break reading
            case .trailers: continue
            case .data:
                exchanges[exchange].sendsChunks
                    ? chunk.append(piece, to: memory.output) : memory.output.append(piece)
                pieces += 1
                if pieces >= Self.piecesATurn, offset < bytes.count { break reading }
            default: break reading
            }
        }
        chunk.close(in: memory.output)
        return passOn(exchange, received: offset - start, from: id) ? offset : bytes.count
    }

    /// Ends the body of a request whose client has ended its stream of HTTP/2.
    func endRequestBody(of id: SlotID) {
        let exchange = clients[id].exchange
        guard !exchanges[exchange].discardsRequestBody else { return }
        exchanges[exchange].requestBody = nil
        memory.output.clear()
        if exchanges[exchange].sendsChunks { writeEndOfChunks(exchange) }
        _ = passOn(exchange, received: 0, from: id)
    }

    /// Writes the last chunk of a request's body, and the trailers that may be passed on.
    private func writeEndOfChunks(_ exchange: SlotID) {
        memory.output.append("0\r\n")
        writeRequestTrailers(exchange)
        memory.output.append("\r\n")
    }

    /// Writes the trailers of a request that may be passed on.
    func writeRequestTrailers(_ exchange: SlotID) {
        let strip = tables.sites[exchanges[exchange].site].view.requestStrip
        writeTrailers(exchanges[exchange].requestTrailers.bytes, &requestTrailers, without: strip)
    }

    /// Sends the body bytes in `memory.output` to the upstream, or collects them. Returns false if the upstream takes no
    /// more.
    private func passOn(_ exchange: SlotID, received: Int, from id: SlotID) -> Bool {
        if exchanges[exchange].isCollecting {
            collect(exchange, received: received, from: id)
            return true
        }
        let upstream = exchanges[exchange].upstream
        exchanges[exchange].keepsRequest = false
        if upstreams[upstream].transport.send(memory.output.bytes, memory.wire) != nil {
            awaitEarlyAnswer(upstream)
            return false
        }
        if exchanges[exchange].isRequestComplete, upstreams[upstream].isStream { endRequest(exchange) }
        awaitProgress(exchange, received: received)
        return true
    }

    // MARK: Collecting

    /// The largest number of body bytes that a worker collects for all its requests. Beyond this number, a request is
    /// sent to an upstream without collecting more of its body.
    private static let mostCollectedBytes = 64 << 20

    /// Adds the body bytes in `memory.output` to the request. An upstream is chosen only when the body is complete or
    /// large, so that a slow client does not occupy an upstream.
    private func collect(_ exchange: SlotID, received: Int, from id: SlotID) {
        exchanges[exchange].request.append(memory.output.bytes)
        exchanges[exchange].collectedBytes += memory.output.count
        collectedBytes += memory.output.count
        if exchanges[exchange].site.isNone { return collectForAPI(exchange, received: received, from: id) }
        guard
            exchanges[exchange].isRequestComplete
                || exchanges[exchange].collectedBytes >= settings.bodyBufferBytes
                || collectedBytes > Self.mostCollectedBytes
        else { return expectBody(of: id, received: received) }
        exchanges[exchange].isCollecting = false
        chooseUpstream(exchange)
    }

    /// Frees the memory of a request that will not be sent again.
    func forgetRequest(_ exchange: SlotID) {
        if exchanges[exchange].collectedBytes > 0 {
            collectedBytes -= exchanges[exchange].collectedBytes
            exchanges[exchange].collectedBytes = 0
        }
        exchanges[exchange].keepsRequest = false
        exchanges[exchange].request.clear()
    }

    // MARK: Deadlines of bodies

    /// Gives a client the full time to send the next bytes of its body. Called when the body begins, and when the
    /// gateway has waited for a slow upstream.
    func beginBody(of id: SlotID) {
        clients[id].bodyDeadline = clock.milliseconds + settings.bodyProgressMilliseconds
    }

    /// Sets the deadline for the next bytes of a body. Each received byte postpones the deadline, so that on average
    /// the body must arrive at `bodyMinRate`. The next bytes must always arrive within the progress timeout.
    func expectBody(of id: SlotID, received: Int) {
        let latest = clock.milliseconds + settings.bodyProgressMilliseconds
        let rate = settings.bodyMinRate
        let moved = rate == 0 ? latest : clients[id].bodyDeadline + Int64(received) * 1000 / rate
        clients[id].bodyDeadline = min(moved, latest)
        setDeadline(client: id, inMilliseconds: clients[id].bodyDeadline - clock.milliseconds)
    }

    /// Sets the deadline of the side that must act next. If the upstream does not accept the request's bytes, the
    /// upstream must act. Otherwise, the client must act while its body is incomplete. After that, the upstream must
    /// answer. When its answer has begun, only the upstream must act: the client may stop sending (RFC 9112 section
    /// 9.5), and bytes that it still sends give the upstream no more time.
    ///
    /// - Parameter received: How many bytes of the body have just arrived.
    func awaitProgress(_ exchange: SlotID, received: Int = 0) {
        let (client, upstream) = (exchanges[exchange].client, exchanges[exchange].upstream)
        let view = tables.sites[exchanges[exchange].site].view
        let isFlushed = upstreams[upstream].transport.isFlushed
        // In a call of gRPC, either side may wait for a message of the other.
        if isFlushed, !exchanges[exchange].isRequestComplete, !exchanges[exchange].isGRPC {
            guard exchanges[exchange].hasResponseHead else {
                upstreams[upstream].deadline.clear()
                return expectBody(of: client, received: received)
            }
            guard received == 0 else { return }
        }
        // If the client does not read its answer, its deadline for reading is already set, and stays.
        if clients[client].transport.isFlushed { clients[client].deadline.clear() }
        setDeadline(upstream: upstream, inMilliseconds: isFlushed ? view.readMilliseconds : view.writeMilliseconds)
    }

    /// Handles a request's body that is malformed, too large or late. The upstream's connection is closed. Otherwise
    /// the upstream could mistake the received part for the whole body.
    func failRequestBody(_ exchange: SlotID, _ status: Int, _ reason: StaticString) {
        let client = exchanges[exchange].client
        guard !exchanges[exchange].hasResponseHead else {
            noteCut(exchange, reason)
            return abort(client)
        }
        refuse(status, reason, client, exchange, isHead: exchanges[exchange].method == .head)
    }
}

extension Bytes {
    /// Whether the bytes are the beginning of a HEAD request. An empty line may come first (RFC 9112 section 2.2).
    var beginsWithHEAD: Bool { (starts(with: "\r\n") ? from(2) : self).starts(with: "HEAD ") }

    func starts(with text: StaticString) -> Bool {
        count >= text.utf8CodeUnitCount && self[0..<text.utf8CodeUnitCount].equals(text)
    }
}
