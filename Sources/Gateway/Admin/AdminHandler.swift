struct AdminHandler: Sendable {
    /// The host names and addresses that a request may ask for in its Host field. All other requests are refused.
    let hosts: AdminHosts
    let status: GatewayStatus
    let metrics: MetricsSource
    /// Nil if the program gives the gateway no `AdminService`. Then all paths but those of `Endpoint` get 404.
    var api: AdminQueue?

    /// The paths that the gateway itself answers on the admin listener. All other paths belong to the API and the page.
    enum Endpoint: String {
        case health = "/healthz"
        case readiness = "/readyz"
        case metrics = "/metrics"
    }

    /// Returns nil for a path without an endpoint.
    func answer(_ path: String) -> AdminAnswer? {
        switch Endpoint(rawValue: path) {
        case .health: AdminAnswer(body: Array("ok\n".utf8))
        case .readiness: readiness(status.current)
        case .metrics: AdminAnswer(type: .metrics, body: Array(metricsText.utf8))
        case nil: nil
        }
    }

    /// An unreadable state does not change the HTTP status. With a 503, load balancers would take all gateways that
    /// share the state out of service, although the gateways still serve the last state that they read. The body names
    /// the problem.
    private func readiness(_ current: GatewayStatus.Values) -> AdminAnswer {
        let isWaiting = current.isWaiting && current.phase == .starting && current.stateFailure == nil
        let lines = [
            current.phase.rawValue, isWaiting ? "waiting for aegis-apply to make the state" : nil,
            current.stateFailure, current.reportFailure,
        ].compactMap(\.self)
        let body = lines.reduce("") { $0 + $1 + "\n" }
        return AdminAnswer(status: current.phase == .ready ? 200 : 503, body: Array(body.utf8))
    }

    private var metricsText: String {
        MetricsText.write(
            MetricsText.Facts(
                workers: metrics.workers, status: status.current, traffic: metrics.traffic.current, usage: .current))
    }
}

struct AdminAnswer: Sendable {
    var status = 200
    var type: AdminContentType = .text
    var body: [UInt8] = []
}

enum AdminContentType: Sendable {
    case text, metrics
}
