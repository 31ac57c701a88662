import ConfigModel
import HTTP1

/// A health check that the admin worker sends to an upstream.
struct HealthProbe: Sendable {
    let upstream: UpstreamNumber
    /// The request's head, including its empty line.
    let request: [UInt8]
    /// A site that serves no requests. It has the check's timeouts, and the name of the host whose check it is.
    let site: Site
}

extension Worker {
    /// Sends a health check. The result is reported to the control side.
    func checkHealth(_ probe: HealthProbe) {
        guard let pool = tables.pool(probe.upstream) else { return }
        guard let site = tables.insertUnnamed(probe.site) else { return }
        var exchange = Exchange(
            client: .none, site: site, method: .get, keepsClient: false, startedAt: clock.nanoseconds)
        probe.request.lendingBytes { exchange.request.append($0) }
        exchange.pool = pool
        exchange.attempts.assign(0, of: 1)
        guard let id = exchanges.insert(exchange) else { return }
        tables.use(site: site)
        tables.pools[pool].active += 1
        connect(id)
    }

    /// A status from 200 to 399 means that the upstream is healthy.
    func healthCheckAnswered(_ exchange: SlotID, _ status: Int) {
        healthCheckEnded(exchange, isHealthy: 200...399 ~= status, "it answered \(status)")
    }

    func healthCheckEnded(_ exchange: SlotID, isHealthy: Bool, _ reason: String) {
        let number = tables.pools[exchanges[exchange].pool].definition.number
        reports.post(.health(number, isHealthy: isHealthy, reason: reason))
        drop(exchange: exchange)
    }
}
