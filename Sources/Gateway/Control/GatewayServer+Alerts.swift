import ConfigModel
import Issuers
import State

/// What the control side remembers about alerts.
struct Alerting {
    /// The time between two checks for expiring certificates, in seconds. After a change of the state or of a file, the
    /// check is made at once.
    static let lookSeconds: Int64 = 60

    var nextLook: Int64 = 0
    /// Whether a thread is calling the webhook.
    var isCalling = false
    /// Whether there were new alerts while the thread was calling the webhook.
    var mustCallAgain = false

    /// Called when the thread that calls the webhook has ended.
    mutating func called() {
        if mustCallAgain { nextLook = 0 }
        (isCalling, mustCallAgain) = (false, false)
    }
}

extension GatewayServer {
    /// Reports expiring certificates and identities, once for each threshold. If several gateways share the state, the
    /// gateway that claims an alert in the state reports it.
    func lookAtExpiries(_ uptime: Int64) {
        guard uptime >= alerting.nextLook, status.current.phase == .ready, !isEnding, loadFailure == nil, let store
        else { return }
        alerting.nextLook = uptime + Alerting.lookSeconds
        let (now, settings) = (Self.now, compiler.alerts)
        let policy = ExpiryPolicy(thresholds: settings.expiry, hasWebhook: settings.webhook != nil)
        let items = expiringItems(policy, now: now)
        guard !items.isEmpty else { return }
        do {
            var alerts = try store.expiryAlerts()
            let untold = policy.untold(items, told: alerts, now: now).map { (alert: $0, event: event(of: $0)) }
            if !untold.isEmpty {
                var told: [ExpiryAlert] = []
                try writeState { (store) throws(StateError) in told = try store.claim(untold) }
                for alert in told { tell(alert) }
                let subjects = Set(told.map(\.subject))
                alerts = alerts.filter { !subjects.contains($0.subject) } + told
            }
            callWebhook(for: policy.due(alerts, of: items, now: now), settings.webhook)
        } catch {
            // The next check tries again.
            log.warning("alerts about expiring certificates can't be sent: \(error)")
        }
    }

    private func event(of alert: ExpiryAlert) -> AuditEvent {
        AuditEvent(
            at: alert.toldAt, actor: "gateway \(node.machine) \(node.process)", action: "alert",
            item: alert.subject.kind.item(alert.subject.name), details: Dictionary(alert.details) { $1 })
    }

    private func tell(_ alert: ExpiryAlert) {
        status.change { $0.alerts[alert.subject.kind, default: AlertCounts()].told += 1 }
        log.warning(alert.text, alert.details)
    }

    private func callWebhook(for alerts: [ExpiryAlert], _ settings: AlertSettings.Webhook?) {
        guard let settings, !alerts.isEmpty, let sealer else { return }
        guard !alerting.isCalling else {
            alerting.mustCallAgain = true
            return
        }
        // While the state is checked for damage, no store can be opened.
        guard let store = issuanceStore() else {
            alerting.nextLook = Self.uptime + 1
            return
        }
        alerting.isCalling = true
        let webhook = ExpiryWebhook(
            settings: settings,
            secrets: SecretReader(directory: compiler.directory, store: store, sealer: sealer),
            node: compiler.node?.id ?? node.machine, store: store, log: log, status: status)
        let events = events
        NamedThread("alerts") {
            webhook.call(for: alerts) { GatewayServer.now }
            events.post(.webhookCalled)
        }.start()
    }

    // MARK: Expiring certificates

    /// The certificates and identities that have crossed a threshold.
    private func expiringItems(_ policy: ExpiryPolicy, now: Int64) -> [ExpiringItem] {
        var items = compiler.materials.expiringItems(startedAt: node.startedAt)
        for stored in compiler.certificates.values {
            // Nearly all certificates are skipped here. A certificate that the gateway renews can't be overdue before
            // `restsUntil`.
            let isNear = stored.expiresAt - policy.longestSeconds <= now
            guard isNear || stored.source != .custom && stored.restsUntil <= now else { continue }
            if let item = expiringItem(stored) { items.append(item) }
        }
        return items.filter { policy.crossed(by: $0, now: now) != nil }
    }

    /// The times that decide about a certificate's alerts. Nil for the certificate of a disabled host: it is not
    /// served, and is renewed when the host is enabled again.
    private func expiringItem(_ stored: CertificateEntry) -> ExpiringItem? {
        let (name, facts) = (stored.name, stored.facts)
        let managed = compiler.hostCertificates[name] ?? stored.managed
        guard managed != nil || facts.source == .custom || !facts.autoRenew else { return nil }
        // A renewal is overdue from the time when it first fell due. So the wait after a failed attempt is left out.
        var progress = issuance.progress[name]
        progress?.nextTryAt = nil
        return ExpiringItem(
            subject: ExpiryAlert.Subject(.certificate, name, fingerprint: facts.fingerprint),
            notAfter: facts.expiresAt,
            overdueAt: managed.map {
                let issuer = $0.issuers.first.flatMap { compiler.issuers[$0] }
                return ExpiringItem.overdueAt(
                    renewsAt: facts.renewalAt(named: name, from: issuer, after: progress), notAfter: facts.expiresAt,
                    startedAt: node.startedAt, hasFailed: progress.map { $0.failures > 0 } ?? false)
            })
    }
}
