import Issuers
import State

/// What is wrong with a certificate in force, whichever host it is for. The texts continue a sentence that begins with
/// the certificate.
package struct CertificateCondition: Sendable, Equatable {
    /// What is wrong now; nil if nothing is.
    package let problem: String?
    /// What will be a problem if nobody acts; nil if there is nothing to warn about, or if `problem` is set.
    package let warning: String?
    /// Whether clients refuse the certificate.
    package let isRefused: Bool

    /// `chainFault` says why clients refuse the certificate's chain. `now` is in seconds since 1970.
    package init(of facts: CertificateFacts, chainFault: String?, now: Int64) {
        let refusal = facts.loss ?? chainFault ?? (facts.expiresAt <= now ? "has expired" : nil)
        isRefused = refusal != nil
        problem = refusal ?? (facts.isLeft(toExpireWithin: HostStatus.problemDays, now) ? "is about to expire" : nil)
        let isExpiring = facts.isLeft(toExpireWithin: OwnCertificate.warningDays, now)
        warning = problem == nil && isExpiring ? "expires soon" : nil
    }

    package var isGood: Bool { problem == nil && warning == nil }
}

extension CertificateFacts {
    /// Whether the certificate expires within `days` days, and nothing will renew it in time: automatic renewal is off,
    /// or the renewal is overdue.
    fileprivate func isLeft(toExpireWithin days: Int64, _ now: Int64) -> Bool {
        expiresAt - now < days * 86_400
            && !(autoRenew && now < dueAt)
    }
}
