import ConfigModel
import HTTPClient
import Issuers
import State

/// Calls the webhook, for one alert after another. A call can take seconds, so the control side makes the calls on a
/// separate thread.
struct ExpiryWebhook: Sendable {
    let settings: AlertSettings.Webhook
    let secrets: SecretReader
    /// The ID of this node.
    let node: String
    let store: any StateStore
    let log: EventLog
    let status: GatewayStatus

    /// The longest time that a call may take, and the largest answer in bytes. The answer's body is not used.
    private static let timeout = Duration.seconds(10)
    private static let maximumBytes = 256 << 10

    /// Calls the webhook for each alert whose call no other gateway has claimed.
    func call(for alerts: [ExpiryAlert], now: () -> Int64) {
        for alert in alerts {
            do throws(StateError) {
                guard let claimed = try store.claimTry(of: alert, now: now()) else { continue }
                guard let failure = send(claimed) else {
                    status.change { $0.alerts[claimed.subject.kind, default: AlertCounts()].delivered += 1 }
                    try store.delivered(claimed, at: now())
                    continue
                }
                tell(of: failure, claimed)
            } catch {
                return log.warning("the webhook for alerts can't be called: \(error)")
            }
        }
    }

    private func tell(of failure: String, _ alert: ExpiryAlert) {
        let what =
            "the webhook for alerts did not accept the alert about the \(alert.subject.kind.rawValue) '\(alert.subject.name)'"
        guard alert.nextTryAt == nil else {
            return log.warning("\(what): \(failure); the next try is in \(ExpiryAlert.retrySeconds / 60) minutes")
        }
        status.change { $0.alerts[alert.subject.kind, default: AlertCounts()].failed += 1 }
        log.error("\(what) in \(alert.tries) tries: \(failure); the next call is at the next threshold")
    }

    /// Sends one alert. Returns the reason why the webhook has not accepted it; nil if it has.
    private func send(_ alert: ExpiryAlert) -> String? {
        do {
            let client = try HTTPClient(
                trust: settings.caFile.map { HTTPClient.Trust.authoritiesFile(secrets.resolve($0).string) } ?? .system,
                userAgent: "aegis", timeout: Self.timeout, maximumBytes: Self.maximumBytes, plainHTTP: .thisMachine)
            let request = HTTPRequest(
                .post, settings.url.text, fields: [HTTPField("Content-Type", "application/json")],
                authorization: try settings.token.map { SecretField.bearer(try secrets.readLine($0)) },
                body: alert.body(from: node))
            let answer = try client.send(request)
            return (200...299).contains(answer.status) ? nil : "it answered with status \(answer.status)"
        } catch {
            return "\(error)"
        }
    }
}

/// How many alerts about certificates, or about identities, there were since the process started.
struct AlertCounts: Sendable, Equatable {
    /// Reported by this process, in its log and as an audit event.
    var told: UInt64 = 0
    /// Accepted by the webhook.
    var delivered: UInt64 = 0
    /// Given up, since the webhook did not accept the call.
    var failed: UInt64 = 0
}
