extension Worker {
    /// Goes to where an upstream is now. Connections to where it was end: idle ones at once, others with what they carry.
    func take(_ place: UpstreamPlace) {
        guard let pool = tables.pool(place.number) else { return }
        if let failure = place.failure { tables.pools[pool].resolutionFailure = failure }
        guard tables.pools[pool].place(at: place.addresses) else { return }
        for index in upstreams.indices {
            guard let id = upstreams.id(at: index), upstreams[id].pool == pool else { continue }
            upstreams[id].isOutdated = !place.addresses.contains(upstreams[id].address)
            if upstreams[id].isOutdated, upstreams[id].phase == .idle { closeIdle(id) }
        }
    }

    /// Has an upstream's name looked up, since no connection to it could be made: it may be elsewhere by now.
    func askForPlace(of pool: SlotID) {
        guard unsafe tables.pools[pool].mayAsk(at: clock.milliseconds) else { return }
        reports.post(.upstreamUnreachable(tables.pools[pool].definition.number))
    }
}
