extension Rules {
    mutating func checkIssuers() {
        for issuer in configuration.issuers {
            switch issuer.kind {
            case .acme(let acme): check(acme, issuer)
            case .cloudflareOrigin(let origin): check(origin, issuer)
            case .localCA: break
            }
        }
    }

    private mutating func check(_ acme: ACMEIssuer, _ issuer: Issuer) {
        let node = issuer.origin.node
        checkKeys(acme, in: node)
        if acme.challenge == .dns01, acme.dns == nil {
            reportMissing(
                "dns", at: "challenge", in: node, unlessFaulty: ["challenge"],
                "issuer '\(issuer.name)' with challenge dns-01 needs 'dns'",
                hint: "dns: { provider: rfc2136, … } or dns: { provider: webhook, … }")
        }
        if acme.challenge != .dns01, acme.dns != nil {
            report(
                .warning, "dns", in: node, unlessFaulty: ["challenge"],
                "'dns' has no effect with challenge \(acme.challenge.rawValue)", hint: "set challenge: dns-01")
        }
        if acme.challenge == .http01, configuration.gateway.http.isEmpty {
            report(
                .warning, "challenge", in: node, "challenge http-01 needs plain HTTP, and there is no http listener",
                hint: "add gateway.http, or use tls-alpn-01 or dns-01")
        }
    }

    private mutating func checkKeys(_ acme: ACMEIssuer, in node: NodeID?) {
        if case .inline(let text)? = acme.externalAccount?.hmacKey.source, !text.isEmpty,
            !Base64Text.isKey(text, isURL: true)
        {
            report(
                .error, "eab", "hmac_key", in: node, "the MAC key of an external account is written in base64url",
                hint: "copy it from the CA's page as it stands there; the key's identifier goes into 'kid'")
        }
        if case .rfc2136(let settings)? = acme.dns?.method, case .inline(let text)? = settings.tsig?.secret.source,
            !text.isEmpty, !Base64Text.isKey(text, isURL: false)
        {
            report(
                .error, "dns", "tsig", "secret", in: node, "the secret of a TSIG key is written in base64",
                hint: "it stands behind 'secret' in what tsig-keygen prints")
        }
    }

    private mutating func check(_ origin: CloudflareOriginIssuer, _ issuer: Issuer) {
        let node = issuer.origin.node
        switch origin.authMethod {
        case .apiToken where origin.apiToken == nil:
            reportMissing(
                "api_token", in: node, unlessFaulty: ["auth_method"],
                "issuer '\(issuer.name)' with auth_method api_token needs 'api_token'",
                hint: "api_token: { env: CF_API_TOKEN }")
        case .originCAKey where origin.originCAKey == nil:
            reportMissing(
                "origin_ca_key", in: node, unlessFaulty: ["auth_method"],
                "issuer '\(issuer.name)' with auth_method origin_ca_key needs 'origin_ca_key'",
                hint: "better: auth_method: api_token")
        default: break
        }
        if origin.authMethod == .originCAKey {
            report(
                .warning, "auth_method", in: node, "Cloudflare has deprecated Origin CA keys",
                hint: "use auth_method: api_token")
        }
        let unused = origin.authMethod == .apiToken ? "origin_ca_key" : "api_token"
        if origin.authMethod == .apiToken ? origin.originCAKey != nil : origin.apiToken != nil {
            report(
                .warning, unused, in: node, unlessFaulty: ["auth_method"],
                "'\(unused)' has no effect with auth_method \(origin.authMethod.rawValue)")
        }
    }
}
