extension Worker {
    /// Sets an upstream's addresses. Idle connections to other addresses are closed at once. Active connections to
    /// other addresses are closed after their exchange.
    func setAddresses(to place: ResolvedUpstream) {
        guard let pool = tables.pool(place.number) else { return }
        if let failure = place.failure { tables.pools[pool].resolutionFailure = failure }
        guard tables.pools[pool].setAddresses(place.addresses) else { return }
        endConnections(of: pool) { !place.addresses.contains($0) }
    }

    /// Sets how connections to an upstream verify it from now on. Present connections close, idle ones at once and
    /// others after their exchange.
    func setTrust(of number: UpstreamNumber, _ trust: UpstreamTrust) {
        guard let pool = tables.pool(number) else { return }
        tables.pools[pool].definition.trust = trust
        forgetSessions(of: pool)
        // The failures may have been about the former CAs.
        tables.pools[pool].forgetFailures()
        endConnections(of: pool) { _ in true }
    }

    /// Makes the next handshakes with an upstream full handshakes. Sessions that the present connections receive from
    /// now on are not used either.
    private func forgetSessions(of pool: SlotID) {
        guard tables.pools[pool].sessionScope != 0 else { return }
        sessions.forget(scope: tables.pools[pool].sessionScope)
        tables.pools[pool].sessionScope = 0
    }

    /// Ends connections of a pool to some addresses: idle ones at once, others after their exchange.
    private func endConnections(of pool: SlotID, to isAddressed: (SocketAddress) -> Bool) {
        for index in upstreams.indices {
            guard let id = upstreams.id(at: index), upstreams[id].pool == pool, isAddressed(upstreams[id].address)
            else { continue }
            upstreams[id].isOutdated = true
            if upstreams[id].http2 != nil {
                endWhenIdle(id)
            } else if upstreams[id].phase == .idle {
                closeIdle(id)
            }
        }
    }

    /// Called when an address of the upstream could not be reached. The control side then resolves the upstream's name
    /// again.
    func requestResolution(of pool: SlotID) {
        guard tables.pools[pool].mayAsk(at: clock.milliseconds) else { return }
        reports.post(.upstreamUnreachable(tables.pools[pool].definition.number))
    }
}
