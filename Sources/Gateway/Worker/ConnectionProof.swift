import PKI

/// What a client's connection has proven in its TLS handshake. It decides which sites the connection's requests reach.
struct ConnectionProof {
    /// The site that the handshake selected, and whose TLS policy it kept to; `none` if there was no such site. The
    /// table counts the connection as a user of the site.
    var site = SlotID.none
    /// Whether the client named a host in its handshake.
    var hasNamedHost = false
    /// The version of TLS; nil without TLS, or before the handshake is complete.
    var version: TLSConnection.Version?
    /// The rules that the client's certificate was verified by; nil if the handshake asked for none.
    var trust: PeerTrust?
    /// The client's certificate; nil if the client has shown none.
    var certificate: ClientCertificate?
    /// When the certificate was last verified, in seconds since 1970.
    var verifiedAt: Int64 = 0
    /// Whether the session was resumed. OpenSSL then no longer has the certificates above the client's own.
    var isResumed = false
}

/// Whether a request may use its connection.
enum Admission {
    case admitted
    /// The connection's handshake was for another site: 421 (RFC 9110 section 15.5.20).
    case misdirected
    /// The connection no longer proves what the site demands. The client must make a new one: 421, and the connection
    /// is closed.
    case outdated(PeerRefusal?)
}

extension WorkerTables {
    /// Whether a request for `site` may use a connection with TLS and this proof. All requests pass through here,
    /// whatever server name the client sent, if any, and also after the site or its rules have changed.
    ///
    /// If `site` is the new form of the proof's site, the proof is for `site` from now on. `chain` returns the
    /// certificates that the client has sent, in DER.
    func admits(
        _ proof: inout ConnectionProof, to site: SlotID, now: Int64, chain: () -> [[UInt8]]
    ) -> Admission {
        let view = sites[site].view
        if proof.site == site { return view.asksForCertificates ? proves(&proof, for: site, now, chain) : .admitted }
        // The handshake did not know the policy of this site.
        guard (proof.version ?? .v1_2) >= view.leastVersion else { return .misdirected }
        guard proof.hasNamedHost || view.asksForCertificates else { return .admitted }
        guard isSuccessor(site, of: proof.site) else { return .misdirected }
        use(site: site)
        release(site: proof.site)
        proof.site = site
        return view.asksForCertificates ? proves(&proof, for: site, now, chain) : .admitted
    }

    /// Whether `site` is the same host as `former`, changed since.
    private func isSuccessor(_ site: SlotID, of former: SlotID) -> Bool {
        !former.isNone && sites[former].isRetired && sites[former].view.domain.equals(sites[site].view.domain)
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
    /// Whether the certificate is good by the rules in force now. A certificate that was verified by other rules is
    /// verified again. `isRequired` is whether a client must have one. `chain` returns the certificates that the client
    /// has sent, in DER.
    mutating func holds(by trust: PeerTrust, isRequired: Bool, now: Int64, chain: () -> [[UInt8]]) -> Admission {
        guard self.trust != nil else { return .outdated(nil) }
        guard let certificate else {
            // A handshake that had to show a certificate has one.
            guard !isRequired else { return .outdated(nil) }
            self.trust = trust
            return .admitted
        }
        if self.trust !== trust || trust.rules.isOverdue(since: verifiedAt, at: now) {
            if let refusal = trust.refusal(of: chain()) {
                // Without the certificates above it, a good certificate may have an authority that is not known. A new
                // handshake sends them.
                return .outdated(isResumed && refusal.reason == .unknownAuthority ? nil : refusal)
            }
            (self.trust, verifiedAt) = (trust, now)
        }
        guard trust.rules.allowsExpired || now < certificate.notAfter else {
            return .outdated(trust.recheck(leaf: certificate.der, now: now))
        }
        return .admitted
    }
}
