import ConfigModel
import HTTP1
import PKI

/// Requests to the admin API and to its page. The worker collects a request's body, passes the whole request to the
/// threads of the `AdminQueue`, and gets the answer by its mailbox.
///
/// While the body is collected, `Exchange.request` holds the head and after it the decoded body. Only the admin worker
/// has such exchanges.
extension Worker {
    /// The largest number of body bytes that are collected for all requests to the API together.
    private static let mostAPIBytes = 16 << 20
    /// How long a client waits for an answer, in milliseconds.
    private static let apiMilliseconds: Int64 = 60_000
    /// The value of Retry-After in answers with status 503, in seconds.
    private static let retrySeconds = 2

    func beginAPI(_ head: Bytes, _ exchange: SlotID, from id: SlotID) {
        guard apiAccess != .off, adminHandler?.api != nil else { return answerProblem(exchange, 404, "no-api") }
        // Without credentials the answer does not depend on the body, so the body is not collected. Anybody could send
        // a large one.
        let hasCredentials =
            clients[id].listener == .node || requestHead.fields.first(.authorization) != nil
            || requestHead.fields.first(.cookie) != nil
        guard !exchanges[exchange].isRequestComplete, hasCredentials else {
            return handOver(request(head, exchange, of: id), exchange, of: id)
        }
        if case .length(let length) = requestHead.framing, length > UInt64(AdminRequest.maximumBodyBytes) {
            return answerProblem(exchange, 413, "too-large")
        }
        exchanges[exchange].request.append(head)
        exchanges[exchange].isCollecting = true
        beginBody(of: id)
        guard tellToContinue(exchange) else { return }
        expectBody(of: id, received: 0)
    }

    /// Called after body bytes were added to the request. `received` is how many bytes have just arrived.
    func collectForAPI(_ exchange: SlotID, received: Int, from id: SlotID) {
        guard collectedBytes <= Self.mostAPIBytes else { return refuseForNow(exchange) }
        guard exchanges[exchange].isRequestComplete else { return expectBody(of: id, received: received) }
        exchanges[exchange].isCollecting = false
        let stored = exchanges[exchange].request.bytes
        var scanner = HeadScanner.request
        guard case .complete(let headBytes) = scanner.scan(stored.span, limits: settings.headLimits),
            requestHead.parse(stored[0..<headBytes].span, limits: settings.headLimits) == nil
        else { return answerProblem(exchange, 500, "internal") }
        var request = request(stored[0..<headBytes], exchange, of: id)
        request.body = stored.from(headBytes).copy
        forgetRequest(exchange)
        handOver(request, exchange, of: id)
    }

    /// The request to the admin API that `requestHead` describes, without its body.
    private func request(_ head: Bytes, _ exchange: SlotID, of id: SlotID) -> AdminRequest {
        var fields: [(name: String, value: String)] = []
        for index in 0..<requestHead.fields.count {
            let field = requestHead.fields[index]
            let name = head[field.name.range].text.lowercased()
            if AdminRequest.fieldNames.contains(name) { fields.append((name, head[field.value.range].text)) }
        }
        let host = head[requestHead.host.range].text
        return AdminRequest(
            method: head[requestHead.methodName.range].text, target: head[requestHead.target.pathAndQuery.range].text,
            authority: requestHead.port.map { "\(host):\($0)" } ?? host, fields: fields,
            client: clients[id].peer.description, network: clients[id].peer.key.network,
            requestID: exchanges[exchange].requestID.text, holder: holder(id), mayChange: apiAccess == .write)
    }

    /// The client of the node listener, by the names in its certificate. The certificate was verified when the request
    /// began. Nil on the admin listener.
    private func holder(_ id: SlotID) -> AdminRequest.Holder? {
        guard clients[id].listener == .node else { return nil }
        let identity = clients[id].proof.certificate.flatMap { PeerIdentity(certificate: $0.der) }
        return nodeAccess?.holder(of: identity?.names ?? [])
    }

    private func handOver(_ request: AdminRequest, _ exchange: SlotID, of id: SlotID) {
        let mailbox = mailbox
        let isAccepted = adminHandler?.api?.submit(request) { mailbox.post(.answer(exchange, $0)) }
        guard isAccepted == true else { return refuseForNow(exchange) }
        setDeadline(client: id, inMilliseconds: Self.apiMilliseconds)
    }

    /// Whether a client's request has been passed to the threads that answer the admin API.
    func awaitsAPI(_ id: SlotID) -> Bool {
        let exchange = clients[id].exchange
        return clients[id].listener.isAdmin && !exchange.isNone && !exchanges[exchange].isCollecting
            && !exchanges[exchange].hasResponseHead
    }

    /// Answers 503 with Retry-After, since too many requests wait, or since the answer takes too long.
    func refuseForNow(_ exchange: SlotID) {
        memory.output.clear()
        memory.output.append("Retry-After: ")
        memory.output.append(decimal: UInt64(Self.retrySeconds))
        memory.output.append("\r\n")
        answerProblem(exchange, 503, "busy", fields: memory.output.bytes)
    }

    /// Answers with problem details (RFC 9457), in the form of the admin API. `word` is the last part of the problem's
    /// type. `fields` are header lines, as in `answer`.
    private func answerProblem(_ exchange: SlotID, _ status: Int, _ word: StaticString, fields: Bytes? = nil) {
        memory.page.clear()
        memory.page.append("{\"type\":\"urn:aegis:problem:")
        memory.page.append(word)
        memory.page.append("\",\"title\":\"")
        memory.page.append(GatewayAnswer.reason(status))
        memory.page.append("\",\"status\":")
        memory.page.append(decimal: UInt64(status))
        memory.page.append(",\"request_id\":\"")
        exchanges[exchange].requestID.write(to: memory.page)
        memory.page.append("\"}\n")
        answer(exchange, status: status, type: "application/problem+json", memory.page.bytes, fields: fields)
    }

    /// Sends an answer of the admin API. Does nothing if the client has closed its connection or already got another
    /// answer.
    func deliver(_ response: AdminResponse, to exchange: SlotID) {
        guard exchanges.contains(exchange) else { return }
        memory.output.clear()
        for (name, value) in response.fields {
            for part in [name, ": ", value, "\r\n"] { part.lendingBytes { memory.output.append($0) } }
        }
        if let stream = response.stream, exchanges[exchange].method != .head {
            return begin(stream, response, exchange)
        }
        response.body.lendingBytes {
            answer(exchange, status: response.status, type: nil, $0, fields: memory.output.bytes)
        }
    }

    // MARK: Streams

    /// The most bytes of a stream that wait for a client that reads slowly. If more bytes would wait, the client is cut
    /// off. It can connect again and continue after the last event that it has read.
    private static let mostUnsent = 256 << 10

    /// Sends the beginning of an answer that continues until its client closes the connection or the gateway ends. The
    /// end of the connection is the end of its body. The answer's own fields are in `memory.output`.
    private func begin(_ stream: any AdminStream, _ response: AdminResponse, _ exchange: SlotID) {
        guard let streams = adminHandler?.api?.streams, !isDraining, streamExchanges.count < AdminStreams.most else {
            return refuseForNow(exchange)
        }
        let (client, mailbox) = (exchanges[exchange].client, mailbox)
        let fields = memory.output.bytes
        GatewayAnswer.writeStatusLine(response.status, to: memory.output)
        memory.output.append(fields)
        memory.output.append(clock.dateLine)
        memory.output.append("X-Request-Id: ")
        exchanges[exchange].requestID.write(to: memory.output)
        memory.output.append("\r\nConnection: close\r\n\r\n")
        exchanges[exchange].status = UInt16(response.status)
        exchanges[exchange].hasResponseHead = true
        exchanges[exchange].keepsClient = false
        streamExchanges.append(exchange)
        streams.begin(stream, of: exchange) { mailbox.post(.part(exchange, $0)) }
        guard deliver(memory.output.bytes.from(fields.count), to: client) else { return }
        send(response.body, of: exchange)
    }

    /// Sends the next part of a stream, or ends it.
    func deliver(_ part: AdminStreamPart, to exchange: SlotID) {
        guard streamExchanges.contains(exchange), exchanges.contains(exchange) else { return }
        switch part {
        case .bytes(let bytes): send(bytes, of: exchange)
        case .end: end(stream: exchange)
        }
    }

    private func send(_ bytes: [UInt8], of exchange: SlotID) {
        let client = exchanges[exchange].client
        exchanges[exchange].bytesSent += UInt64(bytes.count)
        guard bytes.lendingBytes({ deliver($0, to: client) }) else { return }
        guard clients[client].transport.unsentBytes <= Self.mostUnsent else {
            noteCut(exchange, "the client reads too slowly")
            return cutOff(client)
        }
        // A client that reads has no time limit.
        if clients[client].transport.isFlushed { clients[client].deadline.clear() }
    }

    private func end(stream exchange: SlotID) {
        forget(stream: exchange)
        finish(exchange)
    }

    /// Called when the exchange of a stream ends.
    func forget(stream exchange: SlotID) {
        streamExchanges.removeAll { $0 == exchange }
        adminHandler?.api?.streams.end(exchange)
    }

    /// Whether a client is getting an answer that continues until it leaves.
    func isStreaming(_ id: SlotID) -> Bool {
        clients[id].listener.isAdmin && streamExchanges.contains(clients[id].exchange)
    }

    /// Ends the streams of these clients.
    func endStreams(of isMeant: (SlotID) -> Bool) {
        for exchange in streamExchanges where exchanges.contains(exchange) && isMeant(exchanges[exchange].client) {
            end(stream: exchange)
        }
    }
}

extension Bytes {
    /// Whether these bytes, a path and query, are for the admin API. The API itself refuses paths that are not
    /// normalized.
    var isAPI: Bool {
        starts(with: "/api") && (count == 4 || self[4] == UInt8(ascii: "/") || self[4] == UInt8(ascii: "?"))
    }

    /// The path of these bytes, a path and query.
    var path: String { String(text.prefix { $0 != "?" }) }
}
