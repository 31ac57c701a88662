/// Rules for Cloudflare's Origin CA and its certificates.
extension CloudflareOriginIssuer {
    func check(_ issuer: Issuer, _ rules: inout Rules) {
        let node = issuer.origin.node
        switch authMethod {
        case .apiToken where apiToken == nil:
            rules.reportMissing(
                "api_token", in: node, unlessFaulty: ["auth_method"],
                "issuer '\(issuer.name)' with auth_method api_token needs 'api_token'",
                hint: "api_token: { env: CF_API_TOKEN }")
        case .originCAKey where originCAKey == nil:
            rules.reportMissing(
                "origin_ca_key", in: node, unlessFaulty: ["auth_method"],
                "issuer '\(issuer.name)' with auth_method origin_ca_key needs 'origin_ca_key'",
                hint: "better: auth_method: api_token")
        default: break
        }
        if authMethod == .originCAKey {
            rules.report(
                .warning, "auth_method", in: node, "Cloudflare has deprecated Origin CA keys",
                hint: "use auth_method: api_token")
        }
        let unused = authMethod == .apiToken ? "origin_ca_key" : "api_token"
        if authMethod == .apiToken ? originCAKey != nil : apiToken != nil {
            rules.report(
                .warning, unused, in: node, unlessFaulty: ["auth_method"],
                "'\(unused)' has no effect with auth_method \(authMethod.rawValue)")
        }
    }

    func check(
        _ issued: IssuedCertificate, of certificate: NamedCertificate, from issuer: Issuer, _ rules: inout Rules
    ) {
        guard let node = certificate.origin.node else { return }
        if issued.domains.count > Self.maxNames {
            rules.report(
                .error, "domains", in: node,
                "a Cloudflare Origin certificate has at most \(Self.maxNames) names, found \(issued.domains.count)")
        }
        for (index, name) in issued.domains.enumerated() {
            guard case .address(let address) = name else { continue }
            rules.reader.report(
                .error, at: rules.item(index, of: "domains", in: node) ?? node,
                "Cloudflare issues for host names only, not for '\(address.text)'")
        }
        if issued.keyType != nil {
            rules.report(
                .warning, "key_type", in: node, "'key_type' has no effect: the issuer's request_type decides",
                hint: "set request_type on the issuer")
        }
    }
}
