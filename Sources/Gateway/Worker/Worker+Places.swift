extension Worker {
    /// Sets an upstream's addresses. Idle connections to other addresses are closed at once. Active connections to
    /// other addresses are closed after their exchange.
    func moveUpstream(to place: UpstreamPlace) {
        guard let pool = tables.pool(place.number) else { return }
        if let failure = place.failure { tables.pools[pool].resolutionFailure = failure }
        guard tables.pools[pool].place(at: place.addresses) else { return }
        for index in upstreams.indices {
            guard let id = upstreams.id(at: index), upstreams[id].pool == pool else { continue }
            upstreams[id].isOutdated = !place.addresses.contains(upstreams[id].address)
            if upstreams[id].isOutdated, upstreams[id].phase == .idle { closeIdle(id) }
        }
    }

    /// Called when no known address of the upstream could be reached. The control side then resolves the upstream's
    /// name again.
    func askForPlace(of pool: SlotID) {
        guard tables.pools[pool].mayAsk(at: clock.milliseconds) else { return }
        reports.post(.upstreamUnreachable(tables.pools[pool].definition.number))
    }
}
