extension Worker {
    /// Counts an answer in the site's metrics. Health checks have no client and are not counted.
    func countAnswer(_ exchange: SlotID, status: Int) {
        let site = exchanges[exchange].site
        if !site.isNone, !exchanges[exchange].client.isNone { tables.count(site: site, status: status) }
    }

    /// Called when the head of an upstream's response has arrived. Counts the response, and the time since the request
    /// was sent.
    func countResponse(_ exchange: SlotID) {
        let nanoseconds = clock.nanoseconds - exchanges[exchange].sentAt
        metrics.observe(.upstream, nanoseconds: nanoseconds)
        tables.count(upstream: exchanges[exchange].pool, nanoseconds: nanoseconds)
    }

    /// Sends the counts since the previous report to the control side. Called every second, and before an upstream is
    /// removed.
    func reportTraffic() {
        let traffic = tables.takeTraffic()
        if !traffic.isEmpty { reports.post(.traffic(traffic)) }
    }
}
