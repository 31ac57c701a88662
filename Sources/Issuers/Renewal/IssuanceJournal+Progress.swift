import ACME
import State

extension IssuanceJournal {
    /// Records that obtaining a certificate failed, and sets the time of the next try. `now` is in seconds since 1970.
    package func noteFailure(_ failure: IssuanceFailure, of certificate: String, now: Int64) throws(StateError) {
        var progress = try renewal(of: certificate) ?? RenewalProgress(certificate: certificate)
        progress.failures += 1
        let delay = RetrySchedule.delaySeconds(afterFailures: progress.failures)
        progress.nextTryAt = max(now + delay, failure.notBefore ?? 0)
        progress.lastFailure = failure.reason
        try putRenewal(progress)
    }

    /// Forgets the failed tries to obtain a certificate. The caller uses this when the certificate's declaration has
    /// changed.
    package func forgetFailures(of certificate: String) throws(StateError) {
        guard var progress = try renewal(of: certificate), progress.failures > 0 else { return }
        (progress.failures, progress.nextTryAt, progress.lastFailure) = (0, nil, nil)
        try putRenewal(progress)
    }
}
