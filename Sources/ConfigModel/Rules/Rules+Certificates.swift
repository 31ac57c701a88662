extension Rules {
    mutating func checkCertificates() {
        for certificate in configuration.certificates {
            guard case .issued(let issued) = certificate.source else { continue }
            let node = certificate.origin.node
            guard let issuer = issuers[issued.issuer] else {
                reportUnknownIssuer(issued.issuer, in: node.flatMap { reader.value(of: "issuer", in: $0) })
                continue
            }
            warnOfRepeats(issued.domains, in: "domains", of: node, text: \.text)
            switch issuer.kind {
            case .acme(let acme): check(issued, of: certificate, acme, named: issuer.name)
            case .cloudflareOrigin: checkOrigin(issued, of: certificate)
            case .localCA: break
            }
            if issued.zoneID != nil, issuer.typeName != "cloudflare_origin" {
                report(.warning, "zone_id", in: node, "'zone_id' has no effect with issuer '\(issuer.name)'")
            }
        }
    }

    mutating func reportUnknownIssuer(_ name: String, in node: NodeID?) {
        reportUnknown("issuer", name, among: configuration.issuers, in: "issuers", at: node)
    }

    mutating func warnOfRepeats<Value: Hashable>(
        _ values: [Value], in key: String, of node: NodeID?, text: (Value) -> String
    ) {
        guard values.count > 1, let node else { return }
        var seen: Set<Value> = []
        for (index, value) in values.enumerated() where !seen.insert(value).inserted {
            reader.report(
                .warning, at: item(index, of: key, in: node) ?? node, "'\(text(value))' stands twice in '\(key)'")
        }
    }

    private mutating func check(
        _ issued: IssuedCertificate, of certificate: NamedCertificate, _ acme: ACMEIssuer, named issuer: String
    ) {
        guard let node = certificate.origin.node else { return }
        for (index, name) in issued.domains.enumerated() {
            let place = item(index, of: "domains", in: node) ?? node
            switch name {
            case .domain(let domain): requireChallenge(for: domain, of: acme, named: issuer, at: place)
            case .address where acme.challenge == .dns01:
                reader.report(
                    .error, at: place, "dns-01 can't show control over an address",
                    hint: "use an issuer with challenge http-01 or tls-alpn-01")
            case .address: break
            }
        }
    }

    /// Requires dns-01 for wildcards: the other challenges can't validate them (RFC 8555 section 8.3 and RFC 8737
    /// section 3).
    mutating func requireChallenge(for domain: DomainName, of acme: ACMEIssuer, named issuer: String, at place: NodeID)
    {
        guard domain.isWildcard, acme.challenge != .dns01, let node = issuers[issuer]?.origin.node else { return }
        if let challenge = reader.value(of: "challenge", in: node), reader.isFaulty(challenge) { return }
        reader.report(
            .error, at: place,
            "wildcard '\(domain.text)' needs challenge dns-01; issuer '\(issuer)' has \(acme.challenge.rawValue)",
            hint: "set challenge: dns-01 and dns: on the issuer, or use another issuer")
    }

    private mutating func checkOrigin(_ issued: IssuedCertificate, of certificate: NamedCertificate) {
        guard let node = certificate.origin.node else { return }
        if issued.domains.count > CloudflareOriginIssuer.maxNames {
            report(
                .error, "domains", in: node,
                "a Cloudflare Origin certificate has at most \(CloudflareOriginIssuer.maxNames) names, found \(issued.domains.count)"
            )
        }
        for (index, name) in issued.domains.enumerated() {
            guard case .address(let address) = name else { continue }
            reader.report(
                .error, at: item(index, of: "domains", in: node) ?? node,
                "Cloudflare issues for host names only, not for '\(address.text)'")
        }
        if issued.keyType != nil {
            report(
                .warning, "key_type", in: node, "'key_type' has no effect: the issuer's request_type decides",
                hint: "set request_type on the issuer")
        }
    }

    /// Requires, as Cloudflare does, that a pack contains the zone's apex and that all its other names are below the
    /// apex.
    private mutating func requireApex(of certificate: EdgeCertificate) {
        let bases = certificate.hosts.map { $0.isWildcard ? String($0.parent) : $0.text }
        guard let apex = bases.min(by: { $0.utf8.count < $1.utf8.count }) else { return }
        let isApex = bases.allSatisfy { $0 == apex || $0.hasSuffix(".\(apex)") }
        guard !isApex || !certificate.hosts.contains(where: { $0.text == apex }) else { return }
        report(
            .error, "hosts", in: certificate.origin.node, "the zone's apex is not among the hosts",
            hint: isApex ? "add '\(apex)'" : "Cloudflare wants it in each certificate pack, such as example.com")
    }

    mutating func checkEdgeCertificates() {
        var places: [String: SourceOrigin] = [:]
        for certificate in configuration.edgeCertificates {
            warnOfRepeats(certificate.hosts, in: "hosts", of: certificate.origin.node, text: \.text)
            requireApex(of: certificate)
            guard !certificate.displayName.isEmpty,
                let first = places.updateValue(certificate.origin, forKey: certificate.displayName)
            else { continue }
            report(
                .error, in: certificate.origin.node,
                "two edge certificates are called '\(certificate.displayName)'", hint: "give one of them a name",
                notes: [note("first here", at: first)])
        }
    }
}
