import Issuers
import State

struct RenewalOutlook: Equatable {
    /// The time of the next renewal, in seconds since 1970; nil if there is none.
    var next: Int64?
    /// The number of renewals that are due now. Renewals whose attempts have failed are included.
    var overdue = 0

    /// Counts a certificate whose renewal is due at `time`.
    mutating func note(dueAt time: Int64, now: Int64) {
        guard time < .max else { return }
        if time <= now { overdue += 1 } else { next = min(next ?? .max, time) }
    }
}

extension GatewayServer {
    /// The time between two calculations, in seconds.
    private static let renewalLookSeconds: Int64 = 60

    /// Calculates when renewals are due, for the metrics. No certificate is due before its `restsUntil`, so most
    /// certificates need no calculation. The due times of hosts' own certificates are always calculated, since they
    /// depend on the hosts' settings.
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
            // The metrics consider the CA's advice, but not the waiting time after a failed attempt.
            var progress = issuance.progress[name]
            progress?.nextTryAt = nil
            let dueAt = certificate.dueAt(stored.facts, from: compiler.issuers, after: progress)
            if ofHost == nil, progress == nil { stored.restsUntil = dueAt }
            outlook.note(dueAt: dueAt, now: now)
        }
        // A certificate counts as overdue if all attempts to obtain it have failed.
        for (name, progress) in issuance.progress
        where progress.failures > 0 && compiler.certificates[name] == nil && compiler.managed(name) != nil {
            outlook.note(dueAt: 0, now: now)
        }
        guard status.current.renewals != outlook else { return }
        status.change { $0.renewals = outlook }
    }
}
