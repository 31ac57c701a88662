/// The reason for a revocation (RFC 5280 section 5.3.1). The raw value is the code.
package enum RevocationReason: Int, Sendable {
    case unspecified = 0
    /// Another party may have the private key.
    case keyCompromise = 1
    /// The subject has changed.
    case affiliationChanged = 3
    /// A newer certificate has replaced this certificate.
    case superseded = 4
    /// The certificate is no longer needed.
    case cessationOfOperation = 5
}
