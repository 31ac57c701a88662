import PKI

/// What a client has proven in its TLS handshake. This decides which sites its requests may reach.
struct ConnectionProof {
    /// The site that the handshake selected, and whose TLS policy was applied; `none` if there was no such site. The
    /// table counts the connection as a user of the site.
    var site = SlotID.none
    /// The hash of the host's name that the client sent in its handshake; nil if it sent none.
    var namedHost: UInt32?
    /// The version of TLS; nil without TLS, or before the handshake is complete.
    var version: TLSConnection.Version?
    /// The rules by which the client's certificate was verified; nil if the handshake asked for no certificate, or if a later
    /// check has refused the certificate. The connection then ends, and the certificate is not verified again.
    var trust: PeerTrust?
    /// The client's certificate; nil if the client has shown none.
    var certificate: ClientCertificate?
    /// When the certificate was last verified, in seconds since 1970. The handshake counts from its client hello: from
    /// then on, a revocation list that begins or becomes overdue makes the certificate's verification out of date.
    var verifiedAt: Int64 = 0
    /// Whether the TLS session was resumed. If so, OpenSSL has the client's own certificate, but not its intermediates.
    var isResumed = false

    /// Records that the handshake asks for a certificate, which these rules will verify. `now` is in seconds since 1970.
    mutating func ask(by trust: PeerTrust?, now: Int64) {
        (self.trust, verifiedAt) = (trust, now)
    }

    /// Whether the handshake named this host.
    func isFor(_ host: Bytes) -> Bool { namedHost != nil && namedHost == HostKey(host)?.hash(suffixFrom: 0) }
}

/// Whether a request may use its connection.
enum Admission {
    case admitted
    /// The connection's handshake was for another site: 421 (RFC 9110 section 15.5.20).
    case misdirected
    /// The handshake is no longer sufficient for the site. The answer is 421 and the connection is closed, so that the
    /// client makes a new handshake. The refusal is why the certificate is refused; nil if there is nothing to report.
    case outdated(PeerRefusal?)
}

extension WorkerTables {
    /// Whether a request for `site` may use a TLS connection with this proof. Every request is checked, even if the
    /// handshake named no host, or if the site or its rules have changed since.
    ///
    /// If the handshake was for an older version of `site`, the proof changes to the new version. A client of HTTP/2 may
    /// use its connection for another host that has the same certificate (RFC 9113 section 9.1.1), but only if neither
    /// host asks for the client's certificate. `chain` returns the certificates that the client has sent, in DER.
    func admits(
        _ proof: inout ConnectionProof, to site: SlotID, isHTTP2: Bool = false, now: Int64, chain: () -> [[UInt8]]
    ) -> Admission {
        let view = sites[site].view
        if proof.site == site { return view.asksForCertificates ? proves(&proof, for: site, now, chain) : .admitted }
        // The handshake did not apply the TLS policy of this site.
        guard (proof.version ?? .v1_2) >= view.leastVersion else { return .misdirected }
        guard proof.namedHost != nil || view.asksForCertificates else { return .admitted }
        guard isSuccessor(site, of: proof.site) else {
            return isHTTP2 && isAlike(site, proof.site) ? .admitted : .misdirected
        }
        use(site: site)
        release(site: proof.site)
        proof.site = site
        return view.asksForCertificates ? proves(&proof, for: site, now, chain) : .admitted
    }

    /// Whether `site` is a newer version of the host `former`.
    private func isSuccessor(_ site: SlotID, of former: SlotID) -> Bool {
        !former.isNone && sites[former].isRetired && sites[former].view.domain.equals(sites[site].view.domain)
    }

    /// Whether both hosts have the same certificate, and neither asks for the client's certificate. A host without
    /// HTTP/2 shares no connections.
    private func isAlike(_ site: SlotID, _ other: SlotID) -> Bool {
        guard !other.isNone else { return false }
        let (view, other) = (sites[site].view, sites[other].view)
        return !view.certificateName.isEmpty && view.certificateName.equals(other.certificateName)
            && !view.asksForCertificates && !other.asksForCertificates && view.offersHTTP2 != false
    }

    private func proves(
        _ proof: inout ConnectionProof, for site: SlotID, _ now: Int64, _ chain: () -> [[UInt8]]
    ) -> Admission {
        guard let trust = clientTrust(of: site) else { return .outdated(nil) }
        return proof.holds(
            by: trust, isRequired: sites[site].view.clientCertificates.mode == .require, now: now, chain: chain)
    }
}

extension ConnectionProof {
    /// Whether the client's certificate satisfies `trust`, the rules in force now. If former rules have verified the
    /// certificate, it is verified again. With `isRequired`, a client without a certificate is not admitted. `chain` returns the
    /// certificates that the client has sent, in DER.
    mutating func holds(by trust: PeerTrust, isRequired: Bool, now: Int64, chain: () -> [[UInt8]]) -> Admission {
        guard self.trust != nil else { return .outdated(nil) }
        guard let certificate else {
            // The handshake asked for a certificate, but did not require one.
            guard !isRequired else { return .outdated(nil) }
            self.trust = trust
            return .admitted
        }
        if self.trust !== trust || now >= trust.rules.nextTurnOfLists(after: verifiedAt) {
            if let refusal = trust.refusal(of: chain()) {
                self.trust = nil
                // In a resumed session the intermediates are missing, so a valid certificate may seem to have an
                // unknown issuer. In a new handshake the client sends them again.
                return .outdated(isResumed && refusal.reason == .unknownAuthority ? nil : refusal)
            }
            (self.trust, verifiedAt) = (trust, now)
        }
        guard trust.rules.allowsExpired || now < certificate.notAfter else {
            self.trust = nil
            return .outdated(trust.recheck(leaf: certificate.der, now: now))
        }
        return .admitted
    }

    /// The time until which the proof stays valid if its rules do not change, in seconds since 1970. At that time the
    /// certificate expires, or a revocation list begins or becomes overdue.
    var lastsUntil: Int64 {
        guard let trust, let certificate else { return .max }
        let end = trust.rules.allowsExpired ? Int64.max : certificate.notAfter
        return min(end, trust.rules.nextTurnOfLists(after: verifiedAt))
    }
}
