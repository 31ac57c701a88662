import HTTP1

extension Worker {
    /// Answers a request without an upstream, with a body that explains the status. `fields` are further header lines.
    /// The caller must have written these lines to the start of `memory.output`.
    func answer(_ exchange: SlotID, _ status: Int, fields: Bytes? = nil) {
        if exchanges[exchange].isGRPC { return answerCall(exchange, status) }
        let html = exchanges[exchange].wantsHTML
        memory.page.clear()
        GatewayAnswer.writeBody(status, exchanges[exchange].requestID, html: html, to: memory.page)
        answer(
            exchange, status: status, type: html ? "text/html; charset=utf-8" : "text/plain; charset=utf-8",
            memory.page.bytes, fields: fields)
    }

    /// Answers 405 and lists the allowed methods (RFC 9110 section 15.5.6).
    func refuseMethod(_ exchange: SlotID, allowing methods: StaticString) {
        answer(exchange, 405, fields: writeAllow(methods))
    }

    /// Answers an OPTIONS request that is meant for the gateway (RFC 9110 section 9.3.7).
    func answerOptions(_ exchange: SlotID) {
        answer(exchange, status: 204, type: nil, Bytes(""), fields: writeAllow(Self.methods))
    }

    private func writeAllow(_ methods: StaticString) -> Bytes {
        memory.output.clear()
        memory.output.append("Allow: ")
        memory.output.append(methods)
        memory.output.append("\r\n")
        return memory.output.bytes
    }

    /// Sends the fixed answer of the site (`respond` in aegis.yaml).
    func answerFixed(_ exchange: SlotID) {
        let view = tables.sites[exchanges[exchange].site].view
        let method = exchanges[exchange].method
        // A fixed answer with status 2xx is a page, which can only be read. So methods other than GET and HEAD are
        // refused. A fixed answer with another status is sent for every method.
        if 200..<300 ~= view.respondStatus, method != .get, method != .head {
            return refuseMethod(exchange, allowing: "GET, HEAD")
        }
        let body = view.respondBody
        let isHTML = body.starts(with: "<!") || body.starts(with: "<html")
        answer(
            exchange, status: view.respondStatus,
            type: isHTML ? "text/html; charset=utf-8" : "text/plain; charset=utf-8", body, addsSiteFields: true)
    }

    /// Redirects a request to the same URL over HTTPS. GET and HEAD get status 301. Other methods get 308, so that
    /// clients keep the method and the body.
    func redirect(_ head: Bytes, _ exchange: SlotID) {
        let method = exchanges[exchange].method
        memory.page.clear()
        memory.output.clear()
        memory.output.append("Location: https://")
        memory.output.append(head[requestHead.host.range])
        if let port = settings.redirectPort {
            memory.output.append(":")
            memory.output.append(decimal: UInt64(port))
        }
        // `*` stands for the whole server (RFC 9112 section 3.2.4), which has no URL but its root.
        let isAsterisk = head[requestHead.target.pathAndQuery.range].equals("*")
        if isAsterisk || requestHead.target.implied != nil { memory.output.append("/") }
        if !isAsterisk { writePathAndQuery(head) }
        memory.output.append("\r\n")
        // A long target may not fit into `memory.page`. So the Location field stays in `memory.output`, and the answer
        // is written after it.
        let location = memory.output.bytes
        answer(
            exchange, status: method == .get || method == .head ? 301 : 308, type: "text/plain; charset=utf-8",
            memory.page.bytes, fields: location)
    }

    /// Answers with a body that the gateway has made. `fields` are further header lines, which name the type of the
    /// body if `type` is nil. The caller must have written these lines to the start of `memory.output`.
    func answer(
        _ exchange: SlotID, status: Int, type: StaticString?, _ body: Bytes, fields: Bytes? = nil,
        addsSiteFields: Bool = false
    ) {
        let client = exchanges[exchange].client
        let keeps = canKeep(exchange, status)
        let start = fields?.count ?? 0
        if fields == nil { memory.output.clear() }
        GatewayAnswer.writeStatusLine(status, to: memory.output)
        if let fields { memory.output.append(fields) }
        var strip = NameList.none
        if !exchanges[exchange].site.isNone {
            let view = tables.sites[exchanges[exchange].site].view
            if clients[client].isTLS { memory.output.append(view.hsts) }
            if addsSiteFields {
                memory.output.append(view.responseSet)
                strip = view.responseStrip
            }
        }
        // If the site's configuration sets or removes a field, the gateway does not add that field itself.
        func adds(_ name: StaticString) -> Bool { !strip.contains(Bytes(name)) }
        if adds("date") { memory.output.append(clock.dateLine) }
        let hasBody = status >= 200 && status != 204 && status != 304
        if hasBody {
            if let type, adds("content-type") {
                memory.output.append("Content-Type: ")
                memory.output.append(type)
                memory.output.append("\r\n")
            }
            memory.output.append("Content-Length: ")
            memory.output.append(decimal: UInt64(body.count))
            memory.output.append("\r\n")
        }
        if adds("x-request-id") {
            memory.output.append("X-Request-Id: ")
            exchanges[exchange].requestID.write(to: memory.output)
            memory.output.append("\r\n")
        }
        memory.output.append(keeps ? "\r\n" : "Connection: close\r\n\r\n")
        exchanges[exchange].status = UInt16(status)
        exchanges[exchange].hasResponseHead = true
        exchanges[exchange].keepsClient = keeps
        guard hasBody, exchanges[exchange].method != .head else {
            return conclude(exchange, memory.output.bytes.from(start), empty: true)
        }
        exchanges[exchange].bytesSent = UInt64(body.count)
        if body.count <= memory.output.room {
            memory.output.append(body)
            return conclude(exchange, memory.output.bytes.from(start), empty: true)
        }
        guard deliver(memory.output.bytes.from(start), to: client) else { return }
        conclude(exchange, body, empty: false)
    }

    /// Whether the connection can stay open after this answer, even if the request's body has not arrived yet.
    private func canKeep(_ exchange: SlotID, _ status: Int) -> Bool {
        guard exchanges[exchange].keepsClient, !isDraining else { return false }
        if exchanges[exchange].isRequestComplete { return true }
        // A client that waits for status 100 may send its body later or not at all. The gateway could not distinguish a
        // late body from the next request.
        return status < 400 && !exchanges[exchange].expectsContinue
    }

    private func conclude(_ exchange: SlotID, _ bytes: Bytes, empty: Bool) {
        let client = exchanges[exchange].client
        if exchanges[exchange].keepsClient, !exchanges[exchange].isRequestComplete {
            clients[client].discarding = exchanges[exchange].requestBody
            beginBody(of: client)
        }
        guard deliver(bytes, to: client) else { return }
        finish(exchange)
    }

    /// Sends bytes to a client. Returns false if the connection is broken. The client and its exchange then no longer
    /// exist.
    func deliver(_ bytes: Bytes, to client: SlotID) -> Bool {
        metrics.add(.bytesSent, UInt64(bytes.count))
        if bytes.count >= Self.largePart, maySendAtOnce(to: client) {
            guard sendAtOnce(bytes, to: client) else { return false }
        } else if clients[client].transport.send(bytes, memory.wire) != nil {
            abort(client)
            return false
        }
        if !clients[client].transport.isFlushed {
            setDeadline(client: client, inMilliseconds: settings.bodyProgressMilliseconds)
        }
        return true
    }

    /// Answers a request that can't be processed further, and closes the connection, since the start of the next
    /// request is unknown.
    ///
    /// If the request has an `exchange`, the exchange ends. With `isHead`, the answer has no body, as the method HEAD
    /// requires. `explanation` replaces the sentence that belongs to the status. `reason` is for the access log.
    func refuse(
        _ status: Int, _ reason: StaticString, _ client: SlotID, _ exchange: SlotID = .none, isHead: Bool = false,
        explanation: StaticString? = nil
    ) {
        if !exchange.isNone, exchanges[exchange].isGRPC {
            logError(exchange, reason)
            return answerCall(exchange, status)
        }
        let id = exchange.isNone ? random.next() : exchanges[exchange].requestID
        memory.page.clear()
        GatewayAnswer.writeBody(status, id, html: false, explanation, to: memory.page)
        recordRefusal(status, reason, client, exchange, id, bytes: isHead ? 0 : UInt64(memory.page.count))
        memory.output.clear()
        GatewayAnswer.writeStatusLine(status, to: memory.output)
        memory.output.append(clock.dateLine)
        memory.output.append("Content-Type: text/plain; charset=utf-8\r\nContent-Length: ")
        memory.output.append(decimal: UInt64(memory.page.count))
        memory.output.append("\r\nX-Request-Id: ")
        id.write(to: memory.output)
        memory.output.append("\r\nConnection: close\r\n\r\n")
        if !isHead { memory.output.append(memory.page.bytes) }
        guard deliver(memory.output.bytes, to: client) else { return }
        linger(client)
    }

    /// Counts and logs a refusal. `bytes` is the size of the answer's body. If the request has an exchange, the
    /// exchange ends here.
    private func recordRefusal(
        _ status: Int, _ reason: StaticString, _ client: SlotID, _ exchange: SlotID, _ id: RequestID, bytes: UInt64
    ) {
        guard exchange.isNone else {
            exchanges[exchange].status = UInt16(status)
            exchanges[exchange].bytesSent = bytes
            logError(exchange, reason)
            return drop(exchange: exchange)
        }
        metrics.add(.malformedRequests, 1)
        metrics.countResponse(status)
        accessLogs.current?.recordRefusal(
            status, reason, bytes: bytes, clients[client].peer,
            clients[connection(of: client)].proof.version, id, clock)
    }

    /// Adds the reason of a failure to the request's line in the access log.
    func logError(_ exchange: SlotID, _ reason: StaticString) {
        accessLogs[exchanges[exchange].logNumber]?.add(error: reason, to: &exchanges[exchange].logLine)
    }

    /// Called when a client can't get the rest of its answer. Only the first reason counts.
    func noteCut(_ exchange: SlotID, _ reason: StaticString) {
        guard exchanges[exchange].hasResponseHead, !exchanges[exchange].isCut else { return }
        exchanges[exchange].isCut = true
        logError(exchange, reason)
    }

    // MARK: The end of an exchange

    /// Ends an exchange whose whole response was sent, or waits in the transport.
    func finish(_ id: SlotID) {
        let client = exchanges[id].client
        let keeps = exchanges[id].keepsClient && (exchanges[id].isRequestComplete || clients[client].discarding != nil)
        let hasUnreadBody = !exchanges[id].isRequestComplete
        record(id)
        release(id)
        guard keeps else {
            return hasUnreadBody ? linger(client) : closeWhenFlushed(client)
        }
        if clients[client].transport.isFlushed {
            setDeadline(client: client, inMilliseconds: idleMilliseconds)
        }
        if !clients[client].inbox.isEmpty || clients[client].transport.mayRead { enqueue(client: client) }
    }

    /// Ends an exchange that can't be completed. The caller must answer the client or close its connection.
    func drop(exchange id: SlotID) {
        exchanges[id].keepsUpstream = false
        record(id)
        release(id)
    }

    /// Removes an exchange. Its upstream connection goes back to the pool or is closed.
    private func release(_ id: SlotID) {
        let exchange = exchanges.remove(id)
        if exchange.collectedBytes > 0 { collectedBytes -= exchange.collectedBytes }
        if !exchange.client.isNone, clients.contains(exchange.client) { clients[exchange.client].exchange = .none }
        if !exchange.upstream.isNone {
            if exchange.keepsUpstream, exchange.isRequestComplete {
                park(exchange.upstream)
            } else {
                close(upstream: exchange.upstream)
            }
        }
        if !exchange.pool.isNone { leave(pool: exchange.pool) }
        tables.release(site: exchange.site)
    }

    private func record(_ id: SlotID) {
        let status = exchanges[id].status == 0 ? 499 : Int(exchanges[id].status)
        metrics.countResponse(status)
        let callStatus = exchanges[id].callStatus
        if callStatus != CallStatus.unknown { metrics.countCall(callStatus) }
        countAnswer(id, status: status)
        metrics.observe(.request, nanoseconds: clock.nanoseconds - exchanges[id].startedAt)
        let number = exchanges[id].logNumber
        guard !exchanges[id].logLine.isEmpty, let log = accessLogs[number] else { return }
        let pool = exchanges[id].pool
        log.end(
            exchanges[id].logLine.bytes, status: status, callStatus: callStatus,
            bytes: exchanges[id].bytesSent,
            isCut: exchanges[id].isCut, nanoseconds: clock.nanoseconds - exchanges[id].startedAt,
            exchanges[id].requestID, upstream: pool.isNone ? nil : tables.pools[pool].definition.logName)
        accessLogs.release(number)
    }
}
