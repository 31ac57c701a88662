import State

/// Writes all metrics in the text format of Prometheus (version 0.0.4,
/// https://prometheus.io/docs/instrumenting/exposition_formats/).
///
/// Names and units follow https://prometheus.io/docs/practices/naming/.
struct MetricsText {
    struct Facts {
        let workers: [WorkerMetrics]
        let status: GatewayStatus.Values
        let traffic: TrafficTotals.Values
        let usage: ProcessUsage
    }

    /// The label of the total for all hosts or upstreams that are not reported by themselves. No host or upstream can
    /// have this name.
    static let others = "(others)"

    private let workers: [WorkerMetrics]
    private let status: GatewayStatus.Values
    private let traffic: TrafficTotals.Values
    private var text = ""

    private init(_ facts: Facts) {
        (workers, status, traffic) = (facts.workers, facts.status, facts.traffic)
    }

    static func write(_ facts: Facts) -> String {
        var metrics = MetricsText(facts)
        metrics.writeTraffic()
        metrics.writeHTTP2()
        metrics.writeTLS()
        metrics.writeClientCertificates()
        metrics.writeUpstreams()
        metrics.writeState()
        metrics.writeCertificates()
        metrics.write(facts.usage)
        return metrics.text
    }

    private mutating func writeHTTP2() {
        counter("aegis_http2_connections_total", "Connections of clients that speak HTTP/2", .http2Connections)
        counter("aegis_http2_requests_total", "Requests over HTTP/2", .http2Requests)
        gauge("aegis_http2_connections_open", "Connections of HTTP/2 now", .http2Connections, .http2ConnectionsClosed)
        gauge("aegis_http2_streams_open", "Streams of HTTP/2 now", .http2Requests, .http2StreamsClosed)
        header("aegis_http2_streams_reset_total", "Streams of HTTP/2 that ended early, by who ended them", "counter")
        sample("aegis_http2_streams_reset_total", [("by", "client")], sum(.http2ResetsByClient))
        sample("aegis_http2_streams_reset_total", [("by", "gateway")], sum(.http2ResetsByGateway))
        header(
            "aegis_http2_connections_broken_total",
            "Connections of HTTP/2 that the gateway ended because of what the client sent", "counter")
        for (reason, counter) in [
            ("resets", WorkerMetrics.Counter.http2FloodsOfResets), ("control_frames", .http2FloodsOfFrames),
            ("malformed", .http2Malformed), ("memory", .http2WithoutMemory),
        ] {
            sample("aegis_http2_connections_broken_total", [("reason", reason)], sum(counter))
        }
    }

    private mutating func writeTraffic() {
        counter("aegis_requests_total", "Requests that were read", .requests)
        counter("aegis_requests_malformed_total", "Requests that were refused as malformed", .malformedRequests)
        header("aegis_grpc_calls_total", "Calls of gRPC by their status", "counter")
        for (code, name) in CallStatus.names.enumerated() {
            guard let counter = WorkerMetrics.Counter(rawValue: WorkerMetrics.Counter.calls0.rawValue + code) else {
                continue
            }
            sample("aegis_grpc_calls_total", [("status", name)], sum(counter))
        }
        header("aegis_responses_total", "Responses by the class of their status", "counter")
        for (name, counter) in [
            ("1xx", WorkerMetrics.Counter.responses1xx), ("2xx", .responses2xx), ("3xx", .responses3xx),
            ("4xx", .responses4xx), ("5xx", .responses5xx),
        ] {
            text += "aegis_responses_total{class=\"\(name)\"} \(sum(counter))\n"
        }
        header(
            "aegis_host_requests_total",
            "Requests by host and the class of the response's status, for the busiest hosts", "counter")
        for (host, total) in traffic.hosts.named + [(Self.others, traffic.hosts.rest)] {
            for index in 0..<5 where total.classes[index] > 0 {
                sample(
                    "aegis_host_requests_total", [("host", host), ("class", "\(index + 1)xx")], total.classes[index])
            }
        }
        histogram("aegis_request_duration_seconds", "From a request's head to the end of its response", .request)
        counter("aegis_client_bytes_received_total", "Bytes from clients, decrypted", .bytesReceived)
        counter("aegis_client_bytes_sent_total", "Bytes to clients, before encryption", .bytesSent)
        counter("aegis_connections_accepted_total", "Connections of clients", .connectionsAccepted)
        counter("aegis_connections_refused_total", "Connections beyond the limit", .connectionsRefused)
        counter("aegis_connections_evicted_total", "Connections closed to make room for others", .connectionsEvicted)
        gauge("aegis_connections_limit", "Connections of clients at most", "\(status.connectionLimit)")
        gauge("aegis_connections_open", "Connections of clients now", .connectionsAccepted, .connectionsClosed)
        counter("aegis_client_timeouts_total", "Clients that were too slow", .clientTimeouts)
        counter("aegis_client_aborts_total", "Exchanges broken off with the client's connection", .clientAborts)
        counter("aegis_tunnels_total", "Connections upgraded to another protocol", .tunnelsOpened)
        header("aegis_access_log_lines_dropped_total", "Lines of the access log that were lost", "counter")
        text += "aegis_access_log_lines_dropped_total \(status.lostLogLines)\n"
        counter("aegis_reports_suppressed_total", "Log events beyond 100 a second", .suppressedReports)
    }

    private mutating func writeTLS() {
        header("aegis_tls_handshakes_total", "TLS handshakes by how they ended", "counter")
        for (labels, counter) in [
            ("result=\"ok\",version=\"1.2\"", WorkerMetrics.Counter.handshakesTLS12),
            ("result=\"ok\",version=\"1.3\"", .handshakesTLS13),
            ("result=\"aborted\",version=\"\"", .handshakesAborted),
            ("result=\"timeout\",version=\"\"", .handshakesTimedOut),
        ] {
            text += "aegis_tls_handshakes_total{\(labels)} \(sum(counter))\n"
        }
        let causes: [(String, WorkerMetrics.Counter)] = [
            ("no_certificate", .handshakesWithoutCertificate), ("plain_http", .handshakesPlain),
            ("client_alert", .handshakesAlerted), ("version", .handshakesOfOtherVersions),
            ("algorithms", .handshakesWithoutAlgorithms), ("malformed", .handshakesMalformed),
            ("no_trust", .handshakesWithoutTrust), ("client_certificate", .handshakesOfRefusedClients),
        ]
        let failed = causes.reduce(0) { $0 &+ sum($1.1) }
        text += "aegis_tls_handshakes_total{result=\"failed\",version=\"\"} \(failed)\n"
        header("aegis_tls_handshake_failures_total", "TLS handshakes that failed, by the reason", "counter")
        for (reason, counter) in causes {
            sample("aegis_tls_handshake_failures_total", [("reason", reason)], sum(counter))
        }
        header(
            "aegis_tls_connections_broken_total", "TLS connections that broke after the handshake, by the reason",
            "counter")
        for peer in BrokenTLS.Peer.allCases {
            for reason in BrokenTLS.Reason.allCases {
                sample(
                    "aegis_tls_connections_broken_total", [("peer", peer.rawValue), ("reason", reason.rawValue)],
                    sum(BrokenTLS.counter(peer, reason)))
            }
        }
        counter("aegis_tls_handshakes_resumed_total", "Handshakes that took up a session", .handshakesResumed)
        histogram("aegis_tls_handshake_duration_seconds", "From the connection to the handshake's end", .handshake)
        counter("aegis_tls_certificate_failures_total", "Certificates that could not be used", .certificateFailures)
    }

    private mutating func writeClientCertificates() {
        let totals = traffic.clientCertificates
        let hosts = totals.named + [(Self.others, totals.rest)].filter { $0.1.weight > 0 }
        guard !hosts.isEmpty else { return }
        let name = "aegis_client_certificates_total"
        header(name, "Handshakes of hosts that ask for certificates, by the result, for the busiest hosts", "counter")
        for (host, total) in hosts {
            sample(name, [("host", host), ("result", "accepted"), ("reason", "")], total.accepted)
            sample(name, [("host", host), ("result", "not_shown"), ("reason", "")], total.unshown)
            for (reason, count) in total.refused.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
                sample(name, [("host", host), ("result", "refused"), ("reason", reason.rawValue)], count)
            }
        }
    }

    private mutating func writeUpstreams() {
        counter("aegis_upstream_connections_total", "New connections to upstreams", .upstreamConnections)
        header(
            "aegis_upstream_tls_handshakes_total", "TLS handshakes with upstreams, by their kind", "counter")
        for (kind, counter) in [
            ("full", WorkerMetrics.Counter.upstreamHandshakesFull), ("resumed", .upstreamHandshakesResumed),
        ] {
            sample("aegis_upstream_tls_handshakes_total", [("kind", kind)], sum(counter))
        }
        counter(
            "aegis_http2_upstream_connections_total", "Connections to upstreams that speak HTTP/2",
            .http2UpstreamConnections)
        gauge(
            "aegis_http2_upstream_connections_open", "Connections to upstreams that speak HTTP/2 now",
            .http2UpstreamConnections, .http2UpstreamConnectionsClosed)
        counter(
            "aegis_http2_upstream_requests_total", "Requests that upstreams got over HTTP/2", .http2UpstreamRequests)
        header(
            "aegis_http2_upstream_streams_reset_total", "Streams to upstreams that ended early, by who ended them",
            "counter")
        sample("aegis_http2_upstream_streams_reset_total", [("by", "upstream")], sum(.http2ResetsByUpstream))
        sample("aegis_http2_upstream_streams_reset_total", [("by", "gateway")], sum(.http2ResetsOfUpstream))
        counter("aegis_upstream_reuses_total", "Requests on kept connections", .upstreamReuses)
        counter("aegis_upstream_retries_total", "Requests tried again", .upstreamRetries)
        header("aegis_upstream_failures_total", "Requests that no upstream answered, by the last reason", "counter")
        for fault in UpstreamFault.allCases {
            sample("aegis_upstream_failures_total", [("reason", fault.rawValue)], sum(fault.counter))
        }
        header(
            "aegis_upstream_certificates_refused_total",
            "Certificates of upstreams that were refused, by the reason, for the hosts with the most", "counter")
        for (host, total) in traffic.refusedUpstreams.named + [(Self.others, traffic.refusedUpstreams.rest)] {
            for (reason, count) in total.byReason.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
                sample(
                    "aegis_upstream_certificates_refused_total", [("host", host), ("reason", reason.rawValue)], count)
            }
        }
        counter("aegis_upstream_ejections_total", "Upstreams left out after failures", .upstreamEjections)
        histogram(
            "aegis_upstream_response_duration_seconds", "From sending a request to the head of its response", .upstream)
        let upstreams = traffic.upstreams.named + [(Self.others, traffic.upstreams.rest)].filter { $0.1.responses > 0 }
        header("aegis_upstream_responses_total", "Responses by upstream, for the busiest", "counter")
        for (upstream, total) in upstreams {
            sample("aegis_upstream_responses_total", [("upstream", upstream)], total.responses)
        }
        header(
            "aegis_upstream_response_seconds_total", "How long these took to the head of the response, all together",
            "counter")
        for (upstream, total) in upstreams {
            sample("aegis_upstream_response_seconds_total", [("upstream", upstream)], Double(total.nanoseconds) / 1e9)
        }
        guard !status.health.isEmpty else { return }
        header("aegis_upstream_healthy", "1 when health checks find the upstream well", "gauge")
        for (upstream, isHealthy) in status.health.sorted(by: { $0.key < $1.key }) {
            sample("aegis_upstream_healthy", [("upstream", upstream)], isHealthy ? 1 : 0)
        }
    }

    private mutating func writeState() {
        header("aegis_build_info", "1, with the version of the program", "gauge")
        sample("aegis_build_info", [("version", status.version)], 1)
        gauge("aegis_state_generation", "The generation in force", "\(status.position.generation)")
        gauge("aegis_state_revision", "The revision in force", "\(status.position.revision)")
        gauge("aegis_state_readable", "1 when the state can be read", status.stateFailure == nil ? "1" : "0")
        gauge("aegis_state_writable", "1 when the state can be written", status.reportFailure == nil ? "1" : "0")
        gauge(
            "aegis_state_problems", "Items, listeners, logs and states that could not be put in force",
            "\(status.problems)")
        gauge("aegis_hosts", "Hosts in force", "\(status.sites)")
        header("aegis_reloads_total", "Changes of the state that were put in force", "counter")
        text += "aegis_reloads_total{result=\"ok\"} \(status.reloads)\n"
        text += "aegis_reloads_total{result=\"failed\"} \(status.failedReloads)\n"
    }

    private mutating func writeCertificates() {
        header(
            "aegis_certificate_issuances_total", "Certificates that this process has ordered, by the result", "counter")
        sample("aegis_certificate_issuances_total", [("result", "ok")], status.issuances)
        sample("aegis_certificate_issuances_total", [("result", "failed")], status.failedIssuances)
        gauge(
            "aegis_certificates_renewal_overdue", "Certificates whose renewal is due and not done",
            "\(status.renewals.overdue)")
        if let next = status.renewals.next {
            gauge("aegis_certificate_next_renewal_timestamp_seconds", "When the next renewal is due", "\(next)")
        }
        if let soonest = status.firstEnd {
            gauge("aegis_certificate_soonest_not_after_seconds", "The first end of validity of all", "\(soonest)")
        }
        writeAlerts()
        writeIdentities()
        guard !status.expiries.isEmpty else { return }
        header("aegis_certificate_not_after_timestamp_seconds", "The end of a certificate's validity", "gauge")
        for (name, end) in status.expiries.sorted(by: { $0.key < $1.key }) {
            sample("aegis_certificate_not_after_timestamp_seconds", [("name", name)], end)
        }
    }

    private mutating func writeAlerts() {
        let name = "aegis_expiry_alerts_total"
        header(
            name,
            "Alerts about expiring certificates and identities: sent by this process, and accepted or not by the webhook",
            "counter")
        for kind in ExpiryAlert.Kind.allCases {
            let counts = status.alerts[kind] ?? AlertCounts()
            for (result, count) in [
                ("told", counts.told), ("delivered", counts.delivered), ("failed", counts.failed),
            ] {
                sample(name, [("kind", kind.rawValue), ("result", result)], count)
            }
        }
    }

    private mutating func writeIdentities() {
        let identities = status.peers.identities.sorted { $0.key < $1.key }
        if !identities.isEmpty {
            header("aegis_identity_not_after_timestamp_seconds", "The end of an identity's certificate", "gauge")
            for (name, identity) in identities {
                guard let end = identity.notAfter else { continue }
                sample("aegis_identity_not_after_timestamp_seconds", [("name", name)], end)
            }
            header(
                "aegis_identity_refreshes_total", "Readings of identities that had changed, by the result", "counter")
            for (name, identity) in identities {
                sample("aegis_identity_refreshes_total", [("name", name), ("result", "ok")], identity.refreshes)
                sample(
                    "aegis_identity_refreshes_total", [("name", name), ("result", "failed")], identity.failedRefreshes)
            }
        }
        let lax =
            identities.filter(\.value.allowsExpired).map { ("identity", $0.key) }
            + status.peers.hostsAllowingExpired.sorted().map { ("host", $0) }
        if !lax.isEmpty {
            header("aegis_expired_certificates_allowed", "1 while allow_expired is set", "gauge")
            for (kind, name) in lax {
                sample("aegis_expired_certificates_allowed", [("kind", kind), ("name", name)], 1)
            }
        }
        guard !status.peers.nextUpdates.isEmpty else { return }
        header("aegis_crl_next_update_timestamp_seconds", "When a revocation list is overdue", "gauge")
        for (file, time) in status.peers.nextUpdates.sorted(by: { $0.key < $1.key }) {
            sample("aegis_crl_next_update_timestamp_seconds", [("file", file)], time)
        }
    }

    private mutating func write(_ usage: ProcessUsage) {
        header("process_cpu_seconds_total", "Time of the processors that the process has used", "counter")
        sample("process_cpu_seconds_total", [], usage.cpuSeconds)
        // If a value is unknown, its metric is left out. A value of 0 would look like a measurement.
        if let bytes = usage.residentBytes {
            gauge("process_resident_memory_bytes", "Memory of the process in the machine's", "\(bytes)")
        }
        if let bytes = usage.virtualBytes {
            gauge("process_virtual_memory_bytes", "Memory of the process", "\(bytes)")
        }
        if let count = usage.openDescriptors { gauge("process_open_fds", "Open descriptors", "\(count)") }
        gauge("process_max_fds", "How many descriptors may be open", "\(usage.maxDescriptors)")
        gauge("process_start_time_seconds", "When the process started", "\(status.startedAt)")
    }

    // MARK: Forms of metrics

    private func sum(_ counter: WorkerMetrics.Counter) -> UInt64 { workers.reduce(0) { $0 &+ $1.value(counter) } }

    private mutating func header(_ name: String, _ help: String, _ type: String) {
        text += "# HELP \(name) \(help).\n# TYPE \(name) \(type)\n"
    }

    private mutating func sample(_ name: String, _ labels: [(String, String)], _ value: some Numeric) {
        let set = labels.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }.joined(separator: ",")
        text += labels.isEmpty ? "\(name) \(value)\n" : "\(name){\(set)} \(value)\n"
    }

    private mutating func counter(_ name: String, _ help: String, _ counter: WorkerMetrics.Counter) {
        header(name, help, "counter")
        text += "\(name) \(sum(counter))\n"
    }

    private mutating func gauge(_ name: String, _ help: String, _ value: String) {
        header(name, help, "gauge")
        text += "\(name) \(value)\n"
    }

    private mutating func gauge(
        _ name: String, _ help: String, _ begun: WorkerMetrics.Counter, _ ended: WorkerMetrics.Counter
    ) {
        gauge(name, help, "\(workers.reduce(0) { $0 + $1.open(begun, ended) })")
    }

    private mutating func histogram(_ name: String, _ help: String, _ histogram: WorkerMetrics.Histogram) {
        header(name, help, "histogram")
        let values = workers.map { $0.values(histogram) }
        var total: UInt64 = 0
        for (index, limit) in (WorkerMetrics.bucketNanoseconds.map { "\(Double($0) / 1e9)" } + ["+Inf"]).enumerated() {
            total += values.reduce(0) { $0 + $1.buckets[index] }
            text += "\(name)_bucket{le=\"\(limit)\"} \(total)\n"
        }
        text += "\(name)_sum \(Double(values.reduce(0) { $0 + $1.sum }) / 1e9)\n\(name)_count \(total)\n"
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }
}
