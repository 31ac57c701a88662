extension Worker {
    /// Counts what a client was answered, by its site. Health checks have no client.
    func countAnswer(_ exchange: SlotID, status: Int) {
        let site = exchanges[exchange].site
        if !site.isNone, !exchanges[exchange].client.isNone { tables.count(site: site, status: status) }
    }

    /// Counts an upstream's response, whose head has just come.
    func countResponse(_ exchange: SlotID) {
        let nanoseconds = unsafe clock.nanoseconds - exchanges[exchange].sentAt
        metrics.observe(.upstream, nanoseconds: nanoseconds)
        tables.count(upstream: exchanges[exchange].pool, nanoseconds: nanoseconds)
    }

    /// Tells the control side what was counted since it was last told: once a second, and before an upstream goes.
    func reportTraffic() {
        let traffic = tables.takeTraffic()
        if !traffic.isEmpty { reports.post(.traffic(traffic)) }
    }
}
