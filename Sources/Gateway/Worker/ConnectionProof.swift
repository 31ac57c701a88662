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

    /// Whether the certificate of the proof is good for a site that asks for certificates. A certificate that was
    /// verified by other rules than those in force is verified again.
    private func proves(
        _ proof: inout ConnectionProof, for site: SlotID, _ now: Int64, _ chain: () -> [[UInt8]]
    ) -> Admission {
        guard let trust = clientTrust(of: site), proof.trust != nil else { return .outdated(nil) }
        guard let certificate = proof.certificate else {
            // A handshake that had to show a certificate has one.
            guard sites[site].view.clientCertificates.mode == .optional else { return .outdated(nil) }
            proof.trust = trust
            return .admitted
        }
        if proof.trust !== trust {
            if let refusal = trust.refusal(of: chain()) { return .outdated(refusal) }
            proof.trust = trust
        }
        guard trust.rules.allowsExpired || now < certificate.identity.notAfter else {
            return .outdated(trust.recheck(leaf: certificate.identity.certificate, now: now))
        }
        return .admitted
    }
}
