/// Rules for ACME issuers and their certificates.
extension ACMEIssuer {
    func check(_ issuer: Issuer, _ rules: inout Rules) {
        let node = issuer.origin.node
        checkKeys(in: node, &rules)
        if challenge == .dns01, dns == nil {
            rules.reportMissing(
                "dns", at: "challenge", in: node, unlessFaulty: ["challenge"],
                "issuer '\(issuer.name)' with challenge dns-01 needs 'dns'",
                hint: "dns: { provider: rfc2136, … } or dns: { provider: webhook, … }")
        }
        if challenge != .dns01, dns != nil {
            rules.report(
                .warning, "dns", in: node, unlessFaulty: ["challenge"],
                "'dns' has no effect with challenge \(challenge.rawValue)", hint: "set challenge: dns-01")
        }
        if challenge == .http01, rules.configuration.gateway.http.isEmpty {
            rules.report(
                .warning, "challenge", in: node, "challenge http-01 needs plain HTTP, and there is no http listener",
                hint: "add gateway.http, or use tls-alpn-01 or dns-01")
        }
    }

    private func checkKeys(in node: NodeID?, _ rules: inout Rules) {
        if case .inline(let text)? = externalAccount?.hmacKey.source, !text.isEmpty,
            !Base64Text.isKey(text, isURL: true)
        {
            rules.report(
                .error, "eab", "hmac_key", in: node, "the MAC key of an external account is written in base64url",
                hint: "copy it from the CA's page as it stands there; the key's identifier goes into 'kid'")
        }
        switch dns?.method {
        case .rfc2136(let settings)?:
            if case .inline(let text)? = settings.tsig?.secret.source, !text.isEmpty,
                !Base64Text.isKey(text, isURL: false)
            {
                rules.report(
                    .error, "dns", "tsig", "secret", in: node, "the secret of a TSIG key is written in base64",
                    hint: "it stands behind 'secret' in the output of tsig-keygen")
            }
        case .webhook?, nil: break
        }
    }

    func check(
        _ issued: IssuedCertificate, of certificate: NamedCertificate, from issuer: Issuer, _ rules: inout Rules
    ) {
        guard let node = certificate.origin.node else { return }
        for (index, name) in issued.domains.enumerated() {
            let place = rules.item(index, of: "domains", in: node) ?? node
            switch name {
            case .domain(let domain): check(domain, from: issuer.name, at: place, &rules)
            case .address where challenge == .dns01:
                rules.reader.report(
                    .error, at: place, "dns-01 can't show control over an address",
                    hint: "use an issuer with challenge http-01 or tls-alpn-01")
            case .address: break
            }
        }
    }

    /// Whether the issuer's challenge can show control over a name.
    func canValidate(_ domain: DomainName) -> Bool {
        domain.isWildcard && challenge != .dns01 ? false : foreignZone(for: domain) == nil
    }

    /// Reports an error if the issuer's challenge can't show control over the name.
    func check(_ domain: DomainName, from issuer: String, at place: NodeID, _ rules: inout Rules) {
        guard let node = rules.issuers[issuer]?.origin.node else { return }
        if let written = rules.reader.value(of: "challenge", in: node), rules.reader.isFaulty(written) { return }
        if domain.isWildcard, challenge != .dns01 {
            // The other challenges can't validate wildcards (RFC 8555 section 8.3 and RFC 8737 section 3).
            rules.reader.report(
                .error, at: place,
                "wildcard '\(domain.text)' needs challenge dns-01; issuer '\(issuer)' has \(challenge.rawValue)",
                hint: "set challenge: dns-01 and dns: on the issuer, or use another issuer")
        } else if let zone = foreignZone(for: domain) {
            let written = rules.reader.value(of: "dns", in: node).flatMap { rules.reader.value(of: "zone", in: $0) }
            let position = rules.reader.document.position(of: written ?? node)
            rules.reader.report(
                .error, at: place,
                "'\(domain.text)' is not in the zone '\(zone)', to which issuer '\(issuer)' writes the records of dns-01",
                hint: "set dns.zone to the zone of the name, or use another issuer",
                notes: [Diagnostic.Note(position: position, message: "the zone is set here")])
        }
    }

    /// The zone that the issuer's `dns` names, if the dns-01 record of a name is outside of this zone; nil if the
    /// record can be written. A name server refuses to write a record outside of the zone (NOTZONE, RFC 2136 section
    /// 3.4.1).
    private func foreignZone(for domain: DomainName) -> String? {
        guard challenge == .dns01, case .rfc2136(let server)? = dns?.method, !server.zone.isEmpty, !domain.text.isEmpty
        else { return nil }
        // The record's name may itself be the zone's apex.
        let record = "_acme-challenge.\(domain.isWildcard ? String(domain.parent) : domain.text)"
        return record == server.zone || record.hasSuffix(".\(server.zone)") ? nil : server.zone
    }
}
