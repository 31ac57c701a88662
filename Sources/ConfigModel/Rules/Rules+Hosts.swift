extension Rules {
    mutating func checkHosts() {
        for host in configuration.hosts {
            checkAnswer(of: host)
            checkPolicy(of: host)
            checkHeaders(of: host)
            checkUpgrades(of: host)
            if let protocols = host.protocols { checkProtocols(protocols, in: host.origin.node) }
            checkClientAuth(of: host)
            checkUpstreamTLS(of: host)
            checkUpstreamProtocol(of: host)
            switch host.sslMode {
            case .none: checkWithoutCertificate(host)
            case .letsencrypt: checkIssuers(of: host)
            case .custom: checkCertificate(of: host)
            }
        }
    }

    // MARK: Upstreams or a fixed response

    private mutating func checkAnswer(of host: Host) {
        let node = host.origin.node
        switch (host.upstreams.isEmpty, host.respond) {
        case (true, nil):
            reportMissing(
                "upstreams", at: "domain", in: node, unlessFaulty: ["respond"],
                "host '\(host.domain.text)' has nobody to answer",
                hint: "add upstreams: [\"http://127.0.0.1:3000\"] or respond: { status: 200 }")
        case (false, .some):
            report(
                .error, "respond", in: node, "a host has upstreams or respond, not both", hint: "remove one of them")
        case (true, .some) where host.healthCheck != nil:
            report(.warning, "health_check", in: node, "'health_check' has no effect without upstreams")
        default: break
        }
        warnOfRepeats(host.upstreams, in: "upstreams", of: node, text: \.text)
    }

    private mutating func checkUpstreamProtocol(of host: Host) {
        let node = host.origin.node
        let (plain, h2c) = (host.upstreams.filter(\.isPlainHTTP1), host.upstreams.filter(\.isHTTP2))
        if host.upstreamProtocol == .http2, let upstream = plain.first {
            report(
                .error, "upstream_protocol", in: node, unlessFaulty: ["upstreams"],
                "\(upstream.text) can't be asked for HTTP/2, which without TLS both sides must know of",
                hint: "write \(upstream.text.replacing("http://", with: "h2c://")), or https://")
        }
        if host.healthCheck?.grpcService != nil, let upstream = plain.first, let node {
            report(
                .error, "grpc_service", in: reader.value(of: "health_check", in: node), unlessFaulty: ["path"],
                "gRPC needs HTTP/2, and \(upstream.text) speaks HTTP/1.1",
                hint: "write \(upstream.text.replacing("http://", with: "h2c://")), or https://")
        }
        guard !h2c.isEmpty else { return }
        if host.upstreamProtocol == .http1 {
            report(
                .error, "upstream_protocol", in: node, unlessFaulty: ["upstreams"],
                "h2c:// upstreams speak HTTP/2, and upstream_protocol is http1",
                hint: "remove upstream_protocol, or write http://")
        }
        if host.upstreams.count > h2c.count {
            report(
                .error, "upstreams", in: node,
                "a host's upstreams are all h2c://, or none of them is: a request is written before its upstream is chosen",
                hint: "write h2c:// for all of them, or none")
        }
    }

    // MARK: HTTPS policy

    private mutating func checkPolicy(of host: Host) {
        let node = host.origin.node
        if host.forceHTTPS, host.sslMode == .none {
            report(
                .error, "force_https", in: node, unlessFaulty: ["ssl_mode"],
                "force_https needs TLS, and ssl_mode is none", hint: "set ssl_mode: letsencrypt or custom")
        }
        guard let hsts = host.hsts, hsts.enabled else { return }
        if host.sslMode == .none {
            report(
                .error, "hsts", in: node, unlessFaulty: ["ssl_mode"],
                "HSTS needs TLS, and ssl_mode is none", hint: "set ssl_mode: letsencrypt or custom")
        }
        guard hsts.preload, let node else { return }
        let policy = reader.value(of: "hsts", in: node)
        if hsts.maxAge < HSTS.minPreloadMaxAge {
            report(
                .error, "preload", in: policy, unlessFaulty: ["max_age"],
                "preload needs max_age of at least \(HSTS.minPreloadMaxAge), a year; it is \(hsts.maxAge)",
                hint: "set max_age: \(HSTS.minPreloadMaxAge)")
        }
        if !hsts.includeSubdomains {
            report(
                .error, "preload", in: policy, unlessFaulty: ["include_subdomains"],
                "preload needs include_subdomains", hint: "set include_subdomains: true")
        }
    }

    private mutating func checkHeaders(of host: Host) {
        for (key, changes) in [("request", host.headers.request), ("response", host.headers.response)]
        where changes.setBytes > HeaderRules.Changes.maximumBytes {
            report(
                .error, "headers", key, "set", in: host.origin.node,
                "the fields to set have \(changes.setBytes) bytes together", hint: "at most 32 KiB are sent")
        }
    }

    private mutating func checkUpgrades(of host: Host) {
        guard !host.upgrade.isEmpty, let node = host.origin.node else { return }
        // If an item of the list could not be read, `host.upgrade` does not have it. The positions of the other items
        // then differ from those of their nodes.
        guard let list = reader.value(of: "upgrade", in: node), reader.document.kind(of: list) == .sequence,
            !reader.items(of: list).contains(where: reader.isFaulty)
        else { return }
        for (index, name) in host.upgrade.enumerated() {
            let place = item(index, of: "upgrade", in: node) ?? node
            if UpgradeProtocol.hidesRequests(name) {
                reader.report(
                    .error, at: place, "'\(name)' can't be passed on: requests within it would not be looked at",
                    hint: "leave it out")
            } else if !UpgradeProtocol.isName(name) {
                reader.report(
                    .error, at: place, "bad protocol \(name.quotedForMessage)",
                    hint: "write its name, such as example/1")
            }
        }
    }

    // MARK: Certificates

    private mutating func checkWithoutCertificate(_ host: Host) {
        let node = host.origin.node
        if let name = host.certificate {
            report(
                .error, "certificate", in: node, unlessFaulty: ["ssl_mode"],
                "certificate '\(name)' is not used with ssl_mode: none", hint: "set ssl_mode: custom")
        }
        if !host.issuers.isEmpty { warnOfUnusedIssuer(host) }
    }

    private mutating func warnOfUnusedIssuer(_ host: Host) {
        guard let node = host.origin.node else { return }
        let key = reader.value(of: "issuer", in: node) == nil ? "issuers" : "issuer"
        report(
            .warning, key, in: node, unlessFaulty: ["ssl_mode"],
            "'\(key)' has no effect with ssl_mode: \(host.sslMode.rawValue)", hint: "set ssl_mode: letsencrypt")
    }

    private mutating func checkIssuers(of host: Host) {
        guard let node = host.origin.node else { return }
        if let name = host.certificate {
            report(
                .error, "certificate", in: node,
                "certificate '\(name)' is not used with ssl_mode: letsencrypt",
                hint: "set ssl_mode: custom, or remove it")
        }
        guard !host.issuers.isEmpty else { return checkDefaultIssuer(of: host) }
        let single = reader.value(of: "issuer", in: node)
        if single != nil, reader.value(of: "issuers", in: node) != nil {
            report(.error, "issuers", in: node, "a host has issuer or issuers, not both", hint: "remove one of them")
            return
        }
        for (index, name) in host.issuers.enumerated() {
            check(issuer: name, at: single ?? item(index, of: "issuers", in: node) ?? node, of: host)
        }
    }

    private mutating func checkDefaultIssuer(of host: Host) {
        if let acme = issuers[Host.defaultIssuer]?.kind as? ACMEIssuer, acme.canValidate(host.domain),
            host.aliases.allSatisfy(acme.canValidate)
        {
            return
        }
        guard let node = host.origin.node else { return }
        if issuers[Host.defaultIssuer] != nil {
            check(issuer: Host.defaultIssuer, at: reader.value(of: "ssl_mode", in: node) ?? node, of: host)
        } else if !reader.faultyNames.contains(Host.defaultIssuer), !isFaultySection("issuers") {
            reportMissing(
                "issuer", at: "ssl_mode", in: node, unlessFaulty: ["ssl_mode", "issuers"],
                "there is no issuer '\(Host.defaultIssuer)', and the host names no other",
                hint: "define it under 'issuers', or add issuer: to the host")
        }
    }

    private mutating func check(issuer name: String, at place: NodeID, of host: Host) {
        guard let issuer = issuers[name] else {
            if !reader.isFaulty(place) { reportUnknownIssuer(name, in: place) }
            return
        }
        guard let acme = issuer.kind as? ACMEIssuer else {
            reader.report(
                .error, at: place, "issuer '\(name)' is of type \(issuer.typeName); ssl_mode: letsencrypt needs acme",
                hint: "name a certificate of that issuer under 'certificates', and use ssl_mode: custom")
            return
        }
        for (index, domain) in host.names.enumerated() where !acme.canValidate(domain) {
            acme.check(domain, from: name, at: nameNode(index, of: host) ?? place, &self)
        }
    }

    private mutating func checkCertificate(of host: Host) {
        guard let node = host.origin.node else { return }
        if !host.issuers.isEmpty { warnOfUnusedIssuer(host) }
        guard let name = host.certificate else {
            reportMissing(
                "certificate", at: "ssl_mode", in: node, unlessFaulty: ["ssl_mode"],
                "ssl_mode: custom needs 'certificate'",
                hint: suggestion(for: "", among: configuration.certificates.map(\.name), in: "certificates"))
            return
        }
        guard let certificate = certificates[name] else {
            let place = reader.value(of: "certificate", in: node)
            reportUnknown("certificate", name, among: configuration.certificates, in: "certificates", at: place)
            return
        }
        // A certificate without names has a fault of its own, which is reported.
        guard let domains = certificate.knownDomains, !domains.isEmpty, let owner = certificate.origin.node
        else { return }
        if let list = reader.value(of: "domains", in: owner), reader.isFaulty(list) { return }
        let covered = covered(by: name, domains)
        let missing = host.names.filter { host in
            let isCovered = covered.contains(host.text) || (!host.isWildcard && covered.contains("*.\(host.parent)"))
            return !isCovered && !host.text.isEmpty
        }
        guard !missing.isEmpty else { return }
        let names = missing.prefix(3).map { "'\($0.text)'" }.joined(separator: ", ") + (missing.count > 3 ? ", …" : "")
        report(
            .error, "certificate", in: node, "certificate '\(name)' does not cover \(names)",
            hint: "add the name to the certificate's domains",
            notes: [note("it is for \(domains.prefix(5).map(\.text).joined(separator: ", "))", at: certificate.origin)])
    }

    /// A certificate's names as a set, made once for all hosts that refer to the certificate.
    private mutating func covered(by name: String, _ domains: [CertificateName]) -> Set<String> {
        if let names = coveredNames[name] { return names }
        let names = Set(domains.map(\.text))
        coveredNames[name] = names
        return names
    }
}
