/// A certificate that hosts refer to by name.
package struct NamedCertificate: Sendable, Equatable, NamedValue {
    package enum Source: Sendable, Equatable {
        /// The operator's own certificate, in PEM files or texts.
        case custom(CustomCertificate)
        /// A certificate that an issuer issues for names in the file.
        case issued(IssuedCertificate)
    }

    /// The name by which hosts refer to the certificate.
    package var name: String
    /// The place of the name in the file.
    package var origin: SourceOrigin
    package var source: Source

    /// The certificate's names, where the file lists them; nil for the operator's own certificates.
    package var knownDomains: [CertificateName]? {
        if case .issued(let issued) = source { issued.domains } else { nil }
    }

    static let shape = ValueShape<NamedCertificate>.union(
        "a certificate", by: "source", hint: "for a certificate from an issuer leave 'source' out",
        [
            UnionCase(
                "custom", CustomCertificate.shape,
                wrap: { NamedCertificate(name: "", origin: .none, source: .custom($0)) },
                unwrap: { if case .custom(let certificate) = $0.source { certificate } else { nil } }),
            UnionCase(
                nil, IssuedCertificate.shape,
                wrap: { NamedCertificate(name: "", origin: .none, source: .issued($0)) },
                unwrap: { if case .issued(let certificate) = $0.source { certificate } else { nil } }),
        ])
}

extension NamedCertificate {
    /// Declares a certificate whose PEM texts are in no file, such as one that a client of the admin API sent. The
    /// record has `mark` in place of the texts, so each leaf needs another `mark`.
    package init(own name: String, mark: String) {
        var custom = CustomCertificate()
        custom.certificate = Secret(.fingerprint(mark))
        custom.key = custom.certificate
        self.init(name: name, origin: .none, source: .custom(custom))
    }
}

/// A certificate that the operator provides.
package struct CustomCertificate: Sendable, Equatable {
    /// The certificate and its chain in PEM.
    package var certificate = Secret(.inline(""))
    /// The private key in PEM, not encrypted.
    package var key = Secret(.inline(""))
    /// Whether the certificate is served even after it has expired.
    package var allowsExpired = false

    static let shape = ObjectShape<CustomCertificate>(
        "a custom certificate", "Your own certificate", initial: CustomCertificate(),
        fields: [
            .tag("source", "custom", "Your own certificate"),
            .required("cert", \.certificate, .certificatePEM, "The certificate and its chain in PEM"),
            .required("key", \.key, .keyPEM, "The private key in PEM, not encrypted"),
            .defaulted("allow_expired", \.allowsExpired, .flag, "Whether to serve it even when it has expired"),
        ])
}

/// A certificate that an issuer issues for names in the file.
package struct IssuedCertificate: Sendable, Equatable {
    package var issuer = ""
    /// The certificate's names; the first name is the leaf's subject.
    package var domains: [CertificateName] = []
    /// The kind of key; nil: the issuer's setting.
    package var keyType: KeyType?
    /// The Cloudflare zone; nil: the issuer's setting.
    package var zoneID: String?
    package var autoRenew = true

    static let shape = ObjectShape<IssuedCertificate>(
        "a certificate", "A certificate from an issuer", initial: IssuedCertificate(),
        fields: [
            .required("issuer", \.issuer, .name, "The issuer's name", hintWhenMissing: "for your own: source: custom"),
            .required(
                "domains", \.domains, .list(of: .certificateName, allowsEmpty: false, atMost: 1000, "names"),
                "The names it is for"),
            .optional("key_type", \.keyType, .choice("key type"), "The kind of key; left out: the issuer's"),
            .optional("zone_id", \.zoneID, .zoneID, "The Cloudflare zone; left out: the issuer's"),
            .defaulted("auto_renew", \.autoRenew, .flag, "Whether it is renewed before it expires"),
        ])
}

/// A name in a certificate: a host name, or an IP address where the issuer supports addresses.
package enum CertificateName: Sendable, Hashable {
    /// A host name or wildcard.
    case domain(DomainName)
    case address(IPAddress)

    /// The name as the file writes it.
    package var text: String {
        switch self {
        case .domain(let name): name.text
        case .address(let address): address.text
        }
    }

    /// Whether a certificate with this name is valid for a host.
    package func covers(_ host: DomainName) -> Bool {
        if case .domain(let name) = self { name.covers(host) } else { false }
    }
}

extension ValueShape where Value == CertificateName {
    static let certificateName = text(
        "a host name", .string("A host name, wildcard or IP address", examples: ["app.example.com", "*.example.com"]),
        parse: { (text) throws(ValueFault) in
            if let address = IPAddress(text) { return .address(address) }
            return .domain(try DomainName.parse(text))
        },
        format: \.text
    ).defined(as: "certificate_name")
}
