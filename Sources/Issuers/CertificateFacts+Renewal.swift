import ACME
import State

extension CertificateFacts {
    /// How long before its end, at most, a certificate is renewed, in seconds; nil for no bound. Those of Cloudflare's Origin CA
    /// live for up to 15 years, a third of which is no time for a renewal.
    public var longestLeadSeconds: Int64? { source == .cloudflareOrigin ? 30 * 86_400 : nil }

    /// From when on it is due to be renewed, in seconds since 1970.
    public var dueAt: Int64 {
        RenewalScheduler.dueAt(notBefore: notBefore, notAfter: expiresAt, longestLeadSeconds: longestLeadSeconds)
    }
}
