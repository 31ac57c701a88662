import PeerNames

/// Rules about the certificates of a host's clients and upstreams.
extension Rules {
    // MARK: Clients

    mutating func checkClientAuth(of host: Host) {
        guard let settings = host.clientAuth, let node = host.origin.node,
            let section = reader.value(of: "client_auth", in: node)
        else { return }
        if host.sslMode == .none {
            report(
                .error, "client_auth", in: node, unlessFaulty: ["ssl_mode"],
                "client_auth needs TLS, and ssl_mode is none", hint: "set ssl_mode: letsencrypt or custom")
        }
        checkTrust(settings, section)
        if settings.allowsExpired == true {
            report(
                .warning, "allow_expired", in: section, "expired certificates of clients are accepted",
                hint: Self.laxityHint)
        }
        if settings.overdueLists == .accept, settings.revocationLists.isEmpty {
            report(
                .warning, "crl_expired", in: section, unlessFaulty: ["crl_files"],
                "'crl_expired' has no effect without 'crl_files'")
        }
        if settings.forwarding != .none, host.upstreams.isEmpty, host.respond != nil {
            report(.warning, "forward", in: section, "'forward' has no effect without upstreams")
        }
        warnOfRepeats(settings.revocationLists, in: "crl_files", of: section, text: \.self)
        warnOfRepeats(settings.requiredSANs ?? [], in: "required_sans", of: section, text: \.text)
        warnOfLiftedNames(settings.requiredSANs, of: settings.identity, section)
    }

    /// Warns if an empty `required_sans` turns off the identity's patterns. The operator may have meant to leave the
    /// key out, which keeps them.
    private mutating func warnOfLiftedNames(_ names: [PeerNamePattern]?, of identity: String?, _ section: NodeID) {
        guard names?.isEmpty == true, let name = identity, let identity = identities[name],
            !identity.peers.requiredSANs.isEmpty
        else { return }
        report(
            .warning, "required_sans", in: section,
            "any SAN is accepted here: the empty list takes the place of that of identity '\(name)'",
            hint: "leave required_sans out, so that the identity's hold",
            notes: [note("the identity is defined here", at: identity.origin)])
    }

    private mutating func checkTrust(_ settings: ClientAuthSettings, _ section: NodeID) {
        let place = reader.value(of: "identity", in: section)
        switch (settings.caFile, settings.identity) {
        case (nil, nil):
            reportMissing(
                "ca_file", in: section, unlessFaulty: ["identity"],
                "client_auth needs 'ca_file' or 'identity', to verify clients by",
                hint: "ca_file: clients-ca.pem, or identity: NAME for that identity's CAs")
        case (.some, .some):
            report(
                .error, in: place, "client_auth has ca_file or identity, not both", hint: "remove one of them")
        case (nil, let name?):
            if let identity = identity(named: name, at: place) {
                requireAuthorities(of: identity, at: place)
            }
        case (.some, nil): break
        }
    }

    // MARK: Upstreams

    mutating func checkUpstreamTLS(of host: Host) {
        guard let settings = host.upstreamTLS, let node = host.origin.node else { return }
        let section = reader.value(of: "upstream_tls", in: node)
        // An older key for the same setting.
        let former = reader.value(of: "ca_file", in: node)
        if section != nil, former != nil {
            return report(
                .error, "ca_file", in: node, "a host has ca_file or upstream_tls, not both",
                hint: "move it: upstream_tls: { ca_file: … }")
        }
        let key = section == nil ? "ca_file" : "upstream_tls"
        if !host.upstreams.contains(where: \.isTLS) {
            report(
                .warning, key, in: node, unlessFaulty: ["upstreams"],
                "'\(key)' has no effect without an https:// upstream")
        }
        guard let section else { return }
        if let name = settings.identity { _ = identity(named: name, at: reader.value(of: "identity", in: section)) }
        warnOfRepeats(settings.requiredSANs ?? [], in: "required_sans", of: section, text: \.text)
        if settings.usesAuthorities(of: settings.identity.flatMap({ identities[$0] })) {
            warnOfLiftedNames(settings.requiredSANs, of: settings.identity, section)
        }
    }
}
