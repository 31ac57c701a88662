extension CertificateChain {
    /// Why TLS clients that trust the last certificate of the chain would still refuse the chain (RFC 5280 section
    /// 6.1). Nil if they would accept it. `time` is in seconds since 1970.
    ///
    /// Validity, signatures, purposes, path lengths, name constraints and critical extensions are checked. The host's
    /// name is not checked, and neither is the strength of keys and signatures (`checkStrength`).
    package func refusal(at time: Int64) -> PeerRefusal? {
        guard let last = certificates.last, let rules = try? PeerRules(purpose: .server, authorities: [last.der]),
            let trust = try? PeerTrust(rules: rules, now: { time }),
            let refusal = trust.refusal(of: certificates.map(\.der))
        else { return nil }
        switch refusal.reason {
        case .weakKey, .weakSignature, .chainTooLong: return nil
        // OpenSSL requires the extended key usage serverAuth. Many clients also accept anyExtendedKeyUsage, so that is
        // no refusal here.
        case .wrongPurpose where refusal.depth == 0 && leaf.extendedKeyUsages.contains("2.5.29.37.0"): return nil
        default: return refusal
        }
    }
}

extension Certificate {
    /// Whether a path leads from these certificates, the lowest first, to one of the system's roots. Dates do not
    /// matter. The result is also true if this can't be checked.
    package static func isKnownToSystem(_ certificates: [Certificate]) -> Bool {
        guard let first = certificates.first,
            let rules = try? PeerRules(purpose: .server, authorities: [], allowsExpired: true, trustsSystem: true),
            let trust = try? PeerTrust(rules: rules, now: { first.notBefore })
        else { return true }
        return trust.refusal(of: certificates.map(\.der))?.reason != .unknownAuthority
    }
}

extension PeerRefusal {
    /// Whether the fault is in the peer's own certificate. If so, clients refuse it whatever CA certificates they know.
    package var isOfLeaf: Bool { depth == 0 && reason != .nameConstraint && reason != .unknownAuthority }
}
