import HTTP1

extension Worker {
    /// Processes the bytes in `memory.plain`, which an upstream has sent as a response.
    func readResponse(_ id: SlotID) {
        let exchange = upstreams[id].exchange
        if upstreams[id].needsProof, isUnasked(id) {
            return upstreamBroke(id, "it sent something before the request had reached it", .malformed)
        }
        exchanges[exchange].hasResponseBytes = true
        // The bytes of a head don't renew the deadline. Otherwise an upstream could take forever for a head.
        guard !exchanges[exchange].hasResponseHead else {
            setDeadline(upstream: id, inMilliseconds: tables.sites[exchanges[exchange].site].view.readMilliseconds)
            memory.output.clear()
            return relayResponse(memory.plain.bytes, exchange)
        }
        if upstreams[id].inbox.isEmpty {
            let bytes = memory.plain.bytes
            let taken = readHeads(bytes, exchange, id)
            if upstreams.contains(id), upstreams[id].exchange == exchange, taken < bytes.count {
                upstreams[id].inbox.append(bytes.from(taken))
            }
        } else {
            upstreams[id].inbox.append(memory.plain.bytes)
            // The inbox is copied into `memory.plain`, since the bytes must not move while they are processed.
            memory.plain.clear()
            guard upstreams[id].inbox.count <= memory.plain.capacity else {
                return upstreamBroke(id, "its answer's head is too large", .malformed)
            }
            memory.plain.append(upstreams[id].inbox.bytes)
            upstreams[id].inbox.clear()
            let bytes = memory.plain.bytes
            let taken = readHeads(bytes, exchange, id)
            if upstreams.contains(id), upstreams[id].exchange == exchange, taken < bytes.count {
                upstreams[id].inbox.append(bytes.from(taken))
            }
        }
    }

    /// Whether the first bytes after a request can't be its response, because the upstream sent them before the request
    /// had reached its machine. If they counted as the response, each later request would get the response to an
    /// earlier one.
    ///
    /// Each segment that the upstream's kernel sends acknowledges all bytes received before (RFC 9293 section
    /// 3.10.7.4). So if no byte of the request is acknowledged, the bytes came too early. For a Unix socket the kernel
    /// only tells whether bytes are unread, not how many, so the question can't be decided.
    private func isUnasked(_ id: SlotID) -> Bool {
        upstreams[id].needsProof = false
        let taken = upstreams[id].transport.taken(of: upstreams[id].sentBeforeRequest)
        upstreams[id].isDoubtful = taken != .all
        return taken == .nothing && !upstreams[id].address.isUnix
    }

    /// Reads the heads at the start of a response. Interim heads are passed on. The final head starts the response.
    ///
    /// - Returns: How many bytes were processed. The other bytes are an incomplete head. After the call the exchange
    ///   may have ended.
    func readHeads(_ bytes: Bytes, _ exchange: SlotID, _ id: SlotID) -> Int {
        var offset = 0
        while true {
            let rest = bytes.from(offset)
            switch upstreams[id].scanner.scan(rest.span, limits: Self.responseLimits) {
            case .incomplete: return offset
            case .malformed(let fault):
                upstreamBroke(id, "its answer is malformed: \(fault.reason)", .malformed)
                return bytes.count
            case .complete(let count):
                upstreams[id].scanner = .response
                let head = rest[0..<count]
                let method = exchanges[exchange].method
                if let fault = responseHead.parse(head.span, answering: method, limits: Self.responseLimits) {
                    upstreamBroke(id, "its answer is malformed: \(fault.reason)", .malformed)
                    return bytes.count
                }
                offset += count
                if responseHead.isInterim {
                    exchanges[exchange].interimAnswers += 1
                    guard exchanges[exchange].interimAnswers <= Self.mostInterimAnswers else {
                        upstreamBroke(id, "it sent one interim answer after the other", .malformed)
                        return bytes.count
                    }
                    if exchanges[exchange].interimAnswers <= Self.interimAnswersThatRenew { awaitHead(exchange, id) }
                    guard relayInterim(head, exchange) else { return bytes.count }
                    continue
                }
                exchanges[exchange].client.isNone
                    ? healthCheckAnswered(exchange, head)
                    : beginResponse(head, bytes.from(offset), exchange, id)
                return bytes.count
            }
        }
    }

    /// Gives the upstream the full time for a head. While the client still sends its body, the client has a deadline,
    /// and the upstream has none.
    private func awaitHead(_ exchange: SlotID, _ id: SlotID) {
        guard exchanges[exchange].isRequestComplete else { return }
        setDeadline(upstream: id, inMilliseconds: tables.sites[exchanges[exchange].site].view.readMilliseconds)
    }

    /// The limits for the heads of responses. Upstreams may send larger heads than clients.
    private static var responseLimits: HeadLimits { HeadLimits(maxHeadBytes: 64 << 10, maxFields: 1000) }

    /// The largest number of interim responses before the final response. Some servers send interim responses to show
    /// progress.
    private static let mostInterimAnswers = 1000
    /// After each of the first ten interim responses, the time limit for the next head starts again. Later ones don't
    /// extend the limit.
    private static let interimAnswersThatRenew = 10

    /// Passes on an interim response (RFC 9110 section 15.2). Status 100 is left out, since the gateway never asks an
    /// upstream for it. Returns false if the client's connection is broken.
    private func relayInterim(_ head: Bytes, _ exchange: SlotID) -> Bool {
        let client = exchanges[exchange].client
        guard !client.isNone, exchanges[exchange].clientVersion != .http10, responseHead.status != 100 else {
            return true
        }
        let strip = tables.sites[exchanges[exchange].site].view.responseStrip
        memory.output.clear()
        writeStatusLine(head)
        for index in 0..<responseHead.fields.count {
            let field = responseHead.fields[index]
            guard !field.isHopByHop, field.id != .contentLength, !strip.contains(head[field.name.range]) else {
                continue
            }
            writeLine(field, of: head)
        }
        memory.output.append("\r\n")
        return deliver(memory.output.bytes, to: client)
    }

    private func beginResponse(_ head: Bytes, _ rest: Bytes, _ exchange: SlotID, _ id: SlotID) {
        let client = exchanges[exchange].client
        countResponse(exchange)
        tables.pools[exchanges[exchange].pool].forgetFailures()
        if responseHead.isSwitchingProtocols {
            guard isAsked(exchange, forProtocolOf: head) else {
                return upstreamBroke(id, "it changed to a protocol that was not asked for", .malformed)
            }
            guard !isConnect(exchange) || accepts(WebSocketKey(exchanges[exchange].requestID), head) else {
                return upstreamBroke(id, "it has not accepted the key of the WebSocket", .malformed)
            }
            return beginTunnel(head, rest, exchange, id)
        }
        if isConnect(exchange), 200..<300 ~= responseHead.status {
            // The client would mistake this for a tunnel.
            return upstreamBroke(id, "it did not change to the protocol that was asked for", .malformed)
        }
        exchanges[exchange].status = UInt16(responseHead.status)
        if exchanges[exchange].isGRPC { noteCallStatus(head, exchange) }
        exchanges[exchange].hasResponseHead = true
        exchanges[exchange].keepsUpstream = responseHead.keepAlive
        let isBodiless = responseHead.framing == .none
        upstreams[id].bodiless = isBodiless ? exchanges[exchange].method == .head ? .toHEAD : .byStatus : []
        upstreams[id].responses &+= 1
        exchanges[exchange].responseBody =
            responseHead.framing == .none
            ? nil : BodyDecoder(upstreams[id].isStream ? .untilClose : responseHead.framing, of: .response)
        if let seconds = responseHead.keepAliveTimeout { limitIdleTime(of: id, exchange, toSeconds: seconds) }
        forgetRequest(exchange)
        let view = tables.sites[exchanges[exchange].site].view
        setDeadline(upstream: id, inMilliseconds: view.readMilliseconds)
        if !exchanges[exchange].isRequestComplete { awaitProgress(exchange) }
        memory.output.clear()
        writeResponseHead(head, exchange, client)
        relayResponse(rest, exchange, isBeginning: true)
    }

    /// Whether the response switches to a protocol that the request has offered, and to no other one.
    private func isAsked(_ exchange: SlotID, forProtocolOf head: Bytes) -> Bool {
        let offered = exchanges[exchange].request.bytes[exchanges[exchange].upgradeRange].listItems
        var isNamed = false
        for index in 0..<responseHead.fields.count where responseHead.fields[index].id == .upgrade {
            let name = head[responseHead.fields[index].value.range]
            guard !isNamed, offered.contains(where: { $0.equalsIgnoringCase(name) }) else { return false }
            isNamed = true
        }
        return isNamed
    }

    /// Whether the response to an upgrade to WebSocket shows that the upstream has read the key (RFC 6455 section 4.1).
    private func accepts(_ key: WebSocketKey, _ head: Bytes) -> Bool {
        for index in 0..<responseHead.fields.count {
            let field = responseHead.fields[index]
            guard head[field.name.range].equalsIgnoringCase("sec-websocket-accept") else { continue }
            return key.accepted.lendingBytes { head[field.value.range].equals($0) }
        }
        return false
    }

    /// Keeps the connection idle for a second less than the server has announced. If the server closed the connection
    /// while a request was on its way, the request would be lost.
    private func limitIdleTime(of id: SlotID, _ exchange: SlotID, toSeconds seconds: UInt32) {
        guard seconds > 1 else { return exchanges[exchange].keepsUpstream = false }
        upstreams[id].idleMilliseconds = min(Int64(seconds - 1) * 1000, UpstreamPool.idleMilliseconds)
    }

    /// Continues with the bytes of a response's body that an earlier turn has left.
    func continueResponse(_ id: SlotID) {
        memory.plain.clear()
        memory.plain.append(upstreams[id].inbox.bytes)
        upstreams[id].inbox.clear()
        relayBody(memory.plain.bytes, of: id)
    }

    /// Passes bytes of a response's body on to the client. If they came on a stream of HTTP/2, the stream's window
    /// opens again by the bytes that were passed on.
    func relayBody(_ bytes: Bytes, of id: SlotID) {
        let stream = upstreams[id].transport.stream
        memory.output.clear()
        relayResponse(bytes, upstreams[id].exchange)
        stream?.consume(bytes.count - (upstreams.contains(id) ? upstreams[id].inbox.count : 0))
    }

    /// Passes body bytes on to the client, after the bytes that are already in `memory.output`. If `isBeginning` is
    /// true, the bytes in `memory.output` are the response's head. After `piecesATurn` pieces, the other bytes wait in
    /// the upstream's inbox for the next turn.
    private func relayResponse(_ bytes: Bytes, _ exchange: SlotID, isBeginning: Bool = false) {
        let client = exchanges[exchange].client
        let isChunked = exchanges[exchange].responseFraming == .chunked
        var offset = 0
        var pieces = 0
        var chunk = OpenChunk()
        while true {
            guard pieces < Self.piecesATurn || offset == bytes.count else {
                chunk.close(in: memory.output)
                let upstream = exchanges[exchange].upstream
                upstreams[upstream].inbox.append(bytes.from(offset))
                enqueue(upstream: upstream)
                if memory.output.count > 0 { _ = deliver(memory.output.bytes, to: client) }
                return
            }
            guard let step = exchanges[exchange].responseBody?.next(in: bytes.span, from: offset) else { break }
            switch step {
            case .data(let start, let count):
                offset = start + count
                pieces += 1
                exchanges[exchange].bytesSent += UInt64(count)
                let piece = bytes[start..<offset]
                if isChunked {
                    chunk.append(piece, to: memory.output)
                } else if memory.output.count == 0, offset == bytes.count {
                    // Nothing else must be sent, so the bytes are not copied into `memory.output` first.
                    guard deliver(piece, to: client) else { return }
                } else {
                    memory.output.append(piece)
                }
                continue
            case .trailers(let start, let count):
                offset = start + count
                exchanges[exchange].responseTrailers.append(bytes[start..<offset])
                continue
            case .needMore:
                chunk.close(in: memory.output)
                if memory.output.count > 0 { _ = deliver(memory.output.bytes, to: client) }
                return
            case .end(let end):
                offset = end
                chunk.close(in: memory.output)
                exchanges[exchange].responseBody = nil
            case .malformed(let fault):
                // No byte of the response was sent yet, so the client can get an error response instead.
                if isBeginning { discardResponse(exchange) }
                return upstreamBroke(
                    exchanges[exchange].upstream, "its answer is malformed: \(fault.reason)", .malformed)
            }
            break
        }
        // Bytes after the end of the response belong to no request, so the connection is not used again.
        if offset < bytes.count {
            exchanges[exchange].keepsUpstream = false
            noteUnasked(exchanges[exchange].upstream)
        }
        endResponse(exchange)
    }

    /// Discards a response before any byte of it was sent, so that the client can get an error response instead.
    private func discardResponse(_ exchange: SlotID) {
        exchanges[exchange].hasResponseHead = false
        exchanges[exchange].responseBody = nil
        exchanges[exchange].responseFraming = .plain
        exchanges[exchange].bytesSent = 0
    }

    /// Ends a response. Its last bytes may still be in `memory.output`.
    func endResponse(_ exchange: SlotID) {
        let client = exchanges[exchange].client
        if exchanges[exchange].isGRPC { noteCallStatus(exchange) }
        if exchanges[exchange].responseFraming == .chunked {
            memory.output.append("0\r\n")
            if exchanges[exchange].acceptsTrailers { writeResponseTrailers(exchange) }
            memory.output.append("\r\n")
        }
        if memory.output.count > 0 {
            guard deliver(memory.output.bytes, to: client) else { return }
        }
        if exchanges[exchange].clientVersion == .http2, !exchanges[exchange].responseTrailers.isEmpty {
            memory.output.clear()
            writeResponseTrailers(exchange)
            clients[client].transport.stream?.writeTrailers(memory.output.bytes.span)
        }
        exchanges[exchange].responseBody = nil
        finish(exchange)
    }

    private func writeResponseTrailers(_ exchange: SlotID) {
        let strip = tables.sites[exchanges[exchange].site].view.responseStrip
        writeTrailers(exchanges[exchange].responseTrailers.bytes, &responseTrailers, without: strip)
    }

    /// Writes the lines of a trailer section that may be passed on. `trailers` is memory for the fields.
    func writeTrailers(_ section: Bytes, _ trailers: inout TrailerFields, without strip: NameList) {
        guard !section.isEmpty else { return }
        trailers.parse(section.span)
        for index in 0..<trailers.count {
            let field = trailers[index]
            if field.mayBeTrailer, !strip.contains(section[field.name.range]) { writeLine(field, of: section) }
        }
    }
}
