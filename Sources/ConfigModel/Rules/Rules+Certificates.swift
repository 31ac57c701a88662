extension Rules {
    mutating func checkIssuers() {
        for issuer in configuration.issuers { issuer.kind.check(issuer, &self) }
    }

    mutating func checkCertificates() {
        for certificate in configuration.certificates {
            guard case .issued(let issued) = certificate.source else { continue }
            let node = certificate.origin.node
            guard let issuer = issuers[issued.issuer] else {
                reportUnknownIssuer(issued.issuer, in: node.flatMap { reader.value(of: "issuer", in: $0) })
                continue
            }
            warnOfRepeats(issued.domains, in: "domains", of: node, text: \.text)
            issuer.kind.check(issued, of: certificate, from: issuer, &self)
            if issued.zoneID != nil, !type(of: issuer.kind).hasZones {
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
        // A value that could not be read is empty here, and already reported.
        for (index, value) in values.enumerated() where !seen.insert(value).inserted && !text(value).isEmpty {
            reader.report(
                .warning, at: item(index, of: key, in: node) ?? node, "'\(text(value))' stands twice in '\(key)'")
        }
    }

    /// Reports a pack without the zone's apex, or with a name that is not below the apex. Cloudflare refuses such
    /// packs.
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
