/// An issuer of certificates, as the file declares it.
package struct Issuer: Sendable, Equatable, NamedValue {
    package enum Kind: Sendable, Equatable {
        /// An ACME CA, public or private (RFC 8555).
        case acme(ACMEIssuer)
        case cloudflareOrigin(CloudflareOriginIssuer)
        /// The local CA, which Aegis operates itself.
        case localCA
    }

    /// The name by which hosts and certificates refer to the issuer.
    package var name: String
    /// The place of the name in the file.
    package var origin: SourceOrigin
    package var kind: Kind

    static let shape = ValueShape<Issuer>.union(
        "an issuer", by: "type",
        [
            UnionCase(
                "acme", ACMEIssuer.shape, wrap: { Issuer(name: "", origin: .none, kind: .acme($0)) },
                unwrap: { if case .acme(let issuer) = $0.kind { issuer } else { nil } }),
            UnionCase(
                "cloudflare_origin", CloudflareOriginIssuer.shape,
                wrap: { Issuer(name: "", origin: .none, kind: .cloudflareOrigin($0)) },
                unwrap: { if case .cloudflareOrigin(let issuer) = $0.kind { issuer } else { nil } }),
            UnionCase(
                "local_ca",
                ObjectShape<Issuer>(
                    "a local CA", "The CA that Aegis keeps itself",
                    initial: Issuer(name: "", origin: .none, kind: .localCA),
                    fields: [.tag("type", "local_ca", "The CA that Aegis keeps itself")]),
                wrap: { $0 }, unwrap: { $0.kind == .localCA ? $0 : nil }),
        ])

    /// The value of the key `type` in the file.
    package var typeName: String {
        switch kind {
        case .acme: "acme"
        case .cloudflareOrigin: "cloudflare_origin"
        case .localCA: "local_ca"
        }
    }
}

/// The kind and size of a certificate's key.
package enum KeyType: String, ChoiceValue {
    case ecdsaP256 = "ecdsa-p256"
    case ecdsaP384 = "ecdsa-p384"
    case rsa2048 = "rsa-2048"
    case rsa3072 = "rsa-3072"
    case rsa4096 = "rsa-4096"
}

extension Issuer {
    package var secrets: [Secret] {
        switch kind {
        case .acme(let settings): settings.secrets
        case .cloudflareOrigin(let settings): [settings.apiToken, settings.originCAKey].compactMap(\.self)
        case .localCA: []
        }
    }
}

extension ACMEIssuer {
    package var secrets: [Secret] { [externalAccount?.hmacKey].compactMap(\.self) + (dns?.secrets ?? []) }
}

extension DNSProvider {
    fileprivate var secrets: [Secret] {
        switch method {
        case .rfc2136(let settings): [settings.tsig?.secret].compactMap(\.self)
        case .webhook(let settings): [settings.token].compactMap(\.self)
        }
    }
}
