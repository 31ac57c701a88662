import Issuers
import State

/// When certificates are due to be renewed, as far as this gateway would do that.
struct RenewalOutlook: Equatable {
    /// When the next one is due, in seconds since 1970; nil when none ever is.
    var next: Int64?
    /// How many are due already, though a try may have failed and the next one be later.
    var overdue = 0

    /// Takes a certificate into account that is due at a time.
    mutating func note(dueAt time: Int64, now: Int64) {
        guard time < .max else { return }
        if time <= now { overdue += 1 } else { next = min(next ?? .max, time) }
    }
}

extension GatewayServer {
    /// From one look to the next, in seconds.
    private static let renewalLookSeconds: Int64 = 60

    /// Finds out when renewals are due, for the metrics. Most certificates are passed over at once: they rest until after the
    /// next one that is known is due. Those of hosts don't, since they follow what the host says.
    func lookAtRenewals(_ uptime: Int64) {
        guard uptime >= nextRenewalLook else { return }
        nextRenewalLook = uptime + Self.renewalLookSeconds
        let now = Self.now
        var outlook = RenewalOutlook()
        for stored in compiler.certificates.values {
            let name = stored.name
            let ofHost = compiler.hostCertificates[name]
            guard ofHost != nil || stored.restsUntil < outlook.next ?? .max, let certificate = ofHost ?? stored.managed
            else { continue }
            // When it is tried again does not count, what the CA advises does.
            var progress = issuance.progress[name]
            progress?.nextTryAt = nil
            let dueAt = certificate.dueAt(stored.facts, from: compiler.issuers, after: progress)
            if ofHost == nil, progress == nil { stored.restsUntil = dueAt }
            outlook.note(dueAt: dueAt, now: now)
        }
        // What was never obtained, though it was tried.
        for (name, progress) in issuance.progress
        where progress.failures > 0 && compiler.certificates[name] == nil && compiler.managed(name) != nil {
            outlook.note(dueAt: 0, now: now)
        }
        guard status.current.renewals != outlook else { return }
        status.change { $0.renewals = outlook }
    }
}
