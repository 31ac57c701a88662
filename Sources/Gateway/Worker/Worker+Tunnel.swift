import HTTP1

extension Worker {
    /// Called when the upstream has agreed to switch protocols (RFC 9110 section 7.8). From now on the gateway passes
    /// bytes on in both directions.
    func beginTunnel(_ head: Bytes, _ rest: Bytes, _ exchange: SlotID, _ id: SlotID) {
        let client = exchanges[exchange].client
        // For the client of HTTP/2, an extended CONNECT has succeeded (RFC 8441 section 5).
        exchanges[exchange].status = exchanges[exchange].clientVersion == .http2 ? 200 : 101
        exchanges[exchange].hasResponseHead = true
        exchanges[exchange].keepsUpstream = false
        exchanges[exchange].keepsClient = false
        forgetRequest(exchange)
        memory.output.clear()
        memory.output.append("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n")
        let view = tables.sites[exchanges[exchange].site].view
        let strip = view.responseStrip
        let upgrade = responseHead.fields.first(.upgrade)
        let isWebSocket = upgrade.map { head[$0.range].equalsIgnoringCase("websocket") } ?? false
        for index in 0..<responseHead.fields.count {
            let field = responseHead.fields[index]
            // Upgrade is a hop-by-hop field. It is still passed on, since it tells the client which protocol the
            // upstream has chosen. A response with status 101 must not have Content-Length (RFC 9110 section 8.6).
            guard field.id == .upgrade || !field.isHopByHop, field.id != .contentLength,
                !strip.contains(head[field.name.range])
            else { continue }
            writeLine(field, of: head)
        }
        memory.output.append(view.responseSet)
        memory.output.append("\r\n")
        memory.output.append(rest)
        upstreams[id].phase = .tunnel
        clients[client].phase = .tunnel
        metrics.add(.tunnelsOpened, 1)
        exchanges[exchange].bytesSent = UInt64(rest.count)
        guard deliver(memory.output.bytes, to: client) else { return }
        keepTunnelAlive(exchange)
        if isWebSocket {
            exchanges[exchange].frames = WebSocketFrames()
            exchanges[exchange].frames?.follow(rest.span)
        }
        if isClosingTunnels { tellTunnelToClose(exchange) }
        tunnelsProvenUntil = min(tunnelsProvenUntil, clients[connection(of: client)].proof.lastsUntil)
        enqueue(client: client)
    }

    /// Passes bytes on to the upstream.
    ///
    /// - Returns: How many bytes were passed on. After the call the client may no longer exist.
    func relayToUpstream(_ bytes: Bytes, from client: SlotID) -> Int {
        guard !isPaused(client) else { return 0 }
        let exchange = clients[client].exchange
        let upstream = exchanges[exchange].upstream
        exchanges[exchange].bodyBytesReceived += UInt64(bytes.count)
        if upstreams[upstream].transport.send(bytes, memory.wire) == nil {
            keepTunnelAlive(exchange)
        } else {
            endTunnel(client)
        }
        return bytes.count
    }

    /// Passes the bytes in `memory.plain` on to the client.
    func relayToClient(_ upstream: SlotID) {
        let exchange = upstreams[upstream].exchange
        guard !exchanges[exchange].isToldToClose else { return }
        exchanges[exchange].frames?.follow(memory.plain.bytes.span)
        exchanges[exchange].bytesSent += UInt64(memory.plain.count)
        guard deliver(memory.plain.bytes, to: exchanges[exchange].client) else { return }
        keepTunnelAlive(exchange)
        if isClosingTunnels { tellTunnelToClose(exchange) }
    }

    /// Renews the deadline of a tunnel. A tunnel ends after some time without bytes, or earlier if one side does not
    /// read.
    func keepTunnelAlive(_ exchange: SlotID) {
        let view = tables.sites[exchanges[exchange].site].view
        let (client, upstream) = (exchanges[exchange].client, exchanges[exchange].upstream)
        // If the client does not read, its deadline for reading is already set, and stays.
        if clients[client].transport.isFlushed { clients[client].deadline.clear() }
        setDeadline(
            upstream: upstream,
            inMilliseconds: upstreams[upstream].transport.isFlushed ? view.tunnelMilliseconds : view.writeMilliseconds)
    }

    /// Ends a tunnel. The client still gets the bytes that have arrived. Then both connections close.
    func endTunnel(_ client: SlotID) {
        let exchange = clients[client].exchange
        guard !exchange.isNone else { return close(client) }
        finish(exchange)
    }

    /// Ends the tunnels that the rules for clients' certificates no longer allow. Called after a change of these rules
    /// or of sites, and when a certificate expires, since a tunnel has no next request that would be checked.
    func endUnprovenTunnels() {
        tunnelsProvenUntil = .max
        forEachClient { id in
            guard clients[id].phase == .tunnel, !clients[id].exchange.isNone else { return }
            let connection = connection(of: id)
            guard mayTunnel(clients[id].exchange, connection) else { return endTunnel(id) }
            tunnelsProvenUntil = min(tunnelsProvenUntil, clients[connection].proof.lastsUntil)
        }
    }

    /// Whether an exchange may keep its tunnel over this client's connection.
    ///
    /// The host that the request has named may be removed since, or its name may lead to another host. Nobody would then
    /// follow the rules by which the tunnel was opened, so a tunnel whose client was asked for a certificate ends.
    private func mayTunnel(_ exchange: SlotID, _ id: SlotID) -> Bool {
        let former = exchanges[exchange].site
        let wasAsked = tables.sites[former].view.asksForCertificates
        let present = exchanges[exchange].tunnelHost.lendingBytes { tables.site(of: $0, likely: former) }
        guard let site = present else { return !wasAsked }
        guard wasAsked || tables.sites[site].view.asksForCertificates else { return true }
        // Without TLS, only a site that requires no certificate can be reached.
        guard clients[id].proof.version != nil else {
            return tables.sites[site].view.clientCertificates.mode != .require
        }
        let admission = tables.admits(&clients[id].proof, to: site, now: clock.seconds) {
            clients[id].transport.tls?.peerChain ?? []
        }
        switch admission {
        case .admitted: return true
        case .misdirected, .outdated(nil): return false
        case .outdated(let refusal?):
            refuseCertificate(refusal, of: id)
            return false
        }
    }

    /// Sends a WebSocket close frame to a client, if the bytes sent so far end with a whole frame. The client's reply
    /// goes to the upstream, so the upstream learns of the end too. Tunnels of other protocols stay open until the
    /// drain ends.
    func tellTunnelToClose(_ exchange: SlotID) {
        guard !exchanges[exchange].isToldToClose, exchanges[exchange].frames?.isAtBoundary == true else { return }
        exchanges[exchange].isToldToClose = true
        memory.output.clear()
        memory.output.append(WebSocketFrames.goingAway)
        _ = deliver(memory.output.bytes, to: exchanges[exchange].client)
    }

    /// Sends a close frame to the client of each WebSocket, as soon as the bytes sent to it end with a whole frame.
    func closeTunnels() {
        isClosingTunnels = true
        forEachClient { id in
            if clients[id].phase == .tunnel { tellTunnelToClose(clients[id].exchange) }
        }
    }
}
