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
}

extension WorkerTables {
    /// Whether a request for `site` may use a connection with this proof. If not, the answer is 421 (RFC 9110 section
    /// 15.5.20). All requests pass through here, whatever server name the client sent, if any, and also after the site
    /// has changed.
    ///
    /// If `site` is the new form of the proof's site, the proof is for `site` from now on.
    func admits(_ proof: inout ConnectionProof, to site: SlotID) -> Bool {
        if proof.site == site { return true }
        guard let version = proof.version else { return true }
        // The handshake did not know the policy of this site.
        guard version >= sites[site].view.leastVersion else { return false }
        guard proof.hasNamedHost else { return true }
        guard isSuccessor(site, of: proof.site) else { return false }
        use(site: site)
        release(site: proof.site)
        proof.site = site
        return true
    }

    /// Whether `site` is the same host as `former`, changed since.
    private func isSuccessor(_ site: SlotID, of former: SlotID) -> Bool {
        !former.isNone && sites[former].isRetired && sites[former].view.domain.equals(sites[site].view.domain)
    }
}
