/// An issuer of certificates, as the file declares it.
package struct Issuer: Sendable, NamedValue {
    /// The name by which hosts and certificates refer to the issuer.
    package var name: String
    /// The place of the name in the file.
    package var origin: SourceOrigin
    let kind: any IssuerKind

    /// The settings of the issuer's kind.
    package var settings: any IssuerSettings { kind }

    /// The value of the key `type` in the file.
    package var typeName: String { type(of: kind).typeName }

    package var secrets: [Secret] { kind.secrets }

    /// All kinds of issuers. Each is a struct of settings with its shape and its rules.
    static let kinds: [any IssuerKind.Type] = [
        ACMEIssuer.self, CloudflareOriginIssuer.self, LocalCAIssuer.self, VaultPKIIssuer.self,
    ]

    static let shape = ValueShape<Issuer>.union("an issuer", by: "type", kinds.map { $0.unionCase })
}

extension Issuer: Equatable {
    package static func == (one: Issuer, other: Issuer) -> Bool {
        one.name == other.name && one.origin == other.origin && one.kind.isEqual(to: other.kind)
    }
}

extension IssuerKind {
    fileprivate static var unionCase: UnionCase<Issuer> {
        UnionCase(
            typeName, shape, wrap: { Issuer(name: "", origin: .none, kind: $0) }, unwrap: { $0.kind as? Self })
    }

    fileprivate func isEqual(to other: any IssuerKind) -> Bool { other as? Self == self }
}

/// The kind and size of a certificate's key.
package enum KeyType: String, ChoiceValue {
    case ecdsaP256 = "ecdsa-p256"
    case ecdsaP384 = "ecdsa-p384"
    case rsa2048 = "rsa-2048"
    case rsa3072 = "rsa-3072"
    case rsa4096 = "rsa-4096"
}
