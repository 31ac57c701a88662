import State

/// What is known of a stored certificate's time. Times are in seconds since 1970.
struct CertificateTimes: Sendable {
    let notBefore: Int64
    let notAfter: Int64
    /// When it was had.
    let obtainedAt: Int64
    let fingerprint: String
    let source: CertificateFacts.Source
    /// How long before its end it is renewed at most, in seconds; nil for no bound.
    let longestLeadSeconds: Int64?
}
