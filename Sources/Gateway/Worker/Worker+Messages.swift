import PKI

extension Worker {
    func handle(_ message: WorkerMessage) {
        switch message {
        case .update(let update): apply(update)
        case .listen(let listener): listen(listener)
        case .setRole(let role, let address):
            for index in listeners.indices where listeners[index].address == address { listeners[index].role = role }
        case .stopListening(let addresses): stopListening { addresses.contains($0.address) }
        case .place(let place): setAddresses(to: place)
        case .api(let access):
            apiAccess = access
            if access == .off { endStreams { _ in true } }
        case .answer(let exchange, let response): deliver(response, to: exchange)
        case .part(let exchange, let part): deliver(part, to: exchange)
        case .node(let access):
            nodeAccess = access
            // Some clients may no longer be allowed to read. So all streams end, and clients that are still allowed
            // begin new ones.
            endStreams { clients[$0].listener == .node }
        case .trust(let renewed):
            renewed.upstreams.forEach(setTrust)
            renewed.clients.forEach(tables.set)
            if !renewed.clients.isEmpty { endUnprovenTunnels() }
        case .health(let number, let isHealthy):
            if let pool = tables.pool(number) { tables.pools[pool].isHealthy = isHealthy }
        case .certificateSettled(let name): resumeHandshakes(withCertificate: name)
        case .tickets(let keys): serverTLS.tickets = keys
        case .accessLog(let hold, let format): accessLogs.change(to: hold, format)
        case .tick:
            reportAllowance = Self.reportsASecond
            refusalAllowances = InlineArray(repeating: RefusalAllowance.most)
            toldShortages.removeAll(keepingCapacity: true)
            sessions.forgetExpired(now: clock.seconds)
            if clock.seconds >= tunnelsProvenUntil { endUnprovenTunnels() }
            // A stream has no next request that would be checked.
            endStreams { clients[$0].listener == .node && clients[$0].proof.lastsUntil <= clock.seconds }
            reportTraffic()
        case .drain(let handedOver): drain(handedOver: handedOver)
        case .checkHealth(let probe): checkHealth(probe)
        case .fallback(let source): tables.fallback = FallbackCertificates(source)
        case .closeTunnels: closeTunnels()
        case .stop: stop()
        }
    }

    private func apply(_ update: TableUpdate) {
        if let settings = update.settings { self.settings = settings }
        for definition in update.upstreams {
            if let former = tables.pool(definition.number) {
                tables.forget(definition.number)
                retire(pool: former)
            }
            _ = tables.insert(definition)
        }
        update.places.forEach(setAddresses)
        tables.apply(update)
        if !(update.sites.isEmpty && update.removedSites.isEmpty && update.clientTrusts.isEmpty) {
            endUnprovenTunnels()
        }
        for number in update.removedUpstreams {
            guard let pool = tables.pool(number) else { continue }
            tables.forget(number)
            retire(pool: pool)
        }
        reports.post(.applied(worker: number, revision: update.revision))
    }

    // MARK: Draining

    /// Stops accepting connections. A connection with an exchange ends after the exchange. An open connection without
    /// an exchange ends after a moment (`idleMilliseconds`).
    private func drain(handedOver: Bool) {
        isDraining = true
        stopListening(acceptingWaiting: !handedOver) { _ in true }
        endStreams { _ in true }
        forEachClient { id in
            switch clients[id].phase {
            case .open where clients[id].exchange.isNone: setDeadline(client: id, inMilliseconds: idleMilliseconds)
            case .multiplexed: drainStreams(of: id)
            default: break
            }
        }
    }

    /// How long a client may take to send its next request, in milliseconds. While the worker drains, the client still
    /// gets a moment: the gateway had promised to keep the connection, and a request may already be on its way.
    var idleMilliseconds: Int64 {
        let usual = settings.clientIdleMilliseconds
        return isDraining ? min(usual, 1000) : usual
    }

    /// Called when the last connection of a draining worker has ended.
    func finishDraining() {
        reports.post(.drained(worker: number))
        stop()
    }

    func forEachClient(_ body: (SlotID) -> Void) {
        for index in clients.indices {
            if let id = clients.id(at: index) { body(id) }
        }
    }
}
