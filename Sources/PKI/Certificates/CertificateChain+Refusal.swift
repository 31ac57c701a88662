extension CertificateChain {
    /// Why TLS clients would refuse the chain at a time, in seconds since 1970, although they trust its last certificate
    /// (RFC 5280 section 6.1). Nil if they would not.
    ///
    /// Validity, signatures, purposes, path lengths, name constraints and critical extensions are checked. The host's
    /// name is not, and neither is the strength of keys and signatures (`checkStrength`).
    package func refusal(at time: Int64) -> PeerRefusal? {
        guard let last = certificates.last, let rules = try? PeerRules(purpose: .server, authorities: [last.der]),
            let trust = try? PeerTrust(rules: rules, now: { time }),
            let refusal = trust.refusal(of: certificates.map(\.der))
        else { return nil }
        switch refusal.reason {
        case .weakKey, .weakSignature, .chainTooLong: return nil
        // OpenSSL wants a server's own key usage, where many clients take any.
        case .wrongPurpose where refusal.depth == 0 && leaf.extendedKeyUsages.contains("2.5.29.37.0"): return nil
        default: return refusal
        }
    }
}

extension PeerRefusal {
    /// Whether the peer's own certificate is at fault, so that clients refuse it whatever certificates above it they
    /// know.
    package var isOfLeaf: Bool { depth == 0 && reason != .nameConstraint && reason != .unknownAuthority }
}
