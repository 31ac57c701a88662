import ConfigModel
import HTTP1

/// A health check that the admin worker sends to an upstream.
struct HealthProbe: Sendable {
    let upstream: UpstreamNumber
    /// The request's head, including its empty line, and its body.
    let request: [UInt8]
    let headBytes: Int
    /// Whether the check is a call of gRPC (https://github.com/grpc/grpc/blob/master/doc/health-checking.md).
    let isCall: Bool
    /// Whether the check is sent by HTTP/2.
    let usesHTTP2: Bool
    /// A site that serves no requests. It has the check's timeouts, and the name of the host whose check it is.
    let site: Site
}

extension Worker {
    /// Sends a health check. The result is reported to the control side.
    func checkHealth(_ probe: HealthProbe) {
        guard let pool = tables.pool(probe.upstream) else { return }
        guard let site = tables.insertUnnamed(probe.site) else { return }
        var exchange = Exchange(
            client: .none, site: site, method: probe.isCall ? .post : .get, keepsClient: false,
            startedAt: clock.nanoseconds)
        probe.request.lendingBytes { exchange.request.append($0) }
        (exchange.headBytes, exchange.usesHTTP2, exchange.isGRPC) = (probe.headBytes, probe.usesHTTP2, probe.isCall)
        exchange.pool = pool
        exchange.attempts.assign(0, of: 1)
        guard let id = exchanges.insert(exchange) else { return }
        tables.use(site: site)
        tables.pools[pool].active += 1
        connect(id)
    }

    /// Called for the head of the answer, which is in `responseHead`. A status from 200 to 399 means that the upstream
    /// is healthy. If the check is a call of gRPC, it must be 200, and the call's status and the body decide.
    func healthCheckAnswered(_ exchange: SlotID, _ head: Bytes) {
        let status = responseHead.status
        if exchanges[exchange].isGRPC, status == 200 {
            noteCallStatus(head, exchange)
            exchanges[exchange].hasResponseHead = true
            return exchanges[exchange].request.clear()
        }
        let isHealthy = !exchanges[exchange].isGRPC && 200...399 ~= status
        healthCheckEnded(exchange, isHealthy: isHealthy, "it answered \(status)")
    }

    /// The largest body of an answer to a call of gRPC, in bytes.
    private static let mostAnswerBytes = 1024

    /// Keeps a part of the body of the answer to a call, in the exchange's `request`, which is no longer needed.
    func collectHealth(_ bytes: Bytes, _ exchange: SlotID) {
        guard exchanges[exchange].request.count + bytes.count <= Self.mostAnswerBytes else {
            return healthCheckEnded(exchange, isHealthy: false, "its answer is too large")
        }
        exchanges[exchange].request.append(bytes)
    }

    /// Called when the answer to a call is complete. `request` has the message, a HealthCheckResponse of grpc.health.v1: its
    /// field 1 is 1 if the service is serving.
    func healthCallEnded(_ exchange: SlotID) {
        noteCallStatus(exchange)
        let code = exchanges[exchange].callStatus
        guard code == 0 else {
            let name = code == CallStatus.unknown ? "no status" : CallStatus.names[Int(code)]
            return healthCheckEnded(exchange, isHealthy: false, "it answered the call with \(name)")
        }
        let message = exchanges[exchange].request.bytes
        let isServing = message.count >= 7 && message[0] == 0 && message[5] == 0x08 && message[6] == 1
        healthCheckEnded(exchange, isHealthy: isServing, "its service is not serving")
    }

    func healthCheckEnded(_ exchange: SlotID, isHealthy: Bool, _ reason: String) {
        let number = tables.pools[exchanges[exchange].pool].definition.number
        reports.post(.health(number, isHealthy: isHealthy, reason: reason))
        drop(exchange: exchange)
    }
}
