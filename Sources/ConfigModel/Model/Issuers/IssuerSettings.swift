/// The settings of one kind of issuer. The properties are what other modules need from the settings of any kind.
package protocol IssuerSettings: Sendable, Equatable {
    /// The value of the key `type` in the file.
    static var typeName: String { get }
    /// The secrets in the settings, both inline secrets and references.
    var secrets: [Secret] { get }
    /// A PEM file of the CAs that are trusted for the issuer's server; nil if the issuer has no such setting.
    var caFile: String? { get }
    /// The name of the issuer's Vault; nil for issuers without a Vault.
    var vaultName: String? { get }
    /// The key type of certificates that set none; nil if the issuer has no such setting.
    var defaultKeyType: KeyType? { get }
    /// The Cloudflare zone of certificates that set none.
    var zoneID: String? { get }
    /// How long before its expiry a certificate is renewed; nil if its lifetime or the CA decides.
    var renewBefore: Duration? { get }
    /// How long a handshake waits for a certificate that is being obtained.
    var onDemandWait: Duration { get }
}

extension IssuerSettings {
    package var secrets: [Secret] { [] }
    package var caFile: String? { nil }
    package var vaultName: String? { nil }
    package var defaultKeyType: KeyType? { nil }
    package var zoneID: String? { nil }
    package var renewBefore: Duration? { nil }
    package var onDemandWait: Duration { .zero }
}

/// What the reader and the rules need from a kind of issuer. To add a kind, write its settings with their shape, its
/// rules under `Rules/Issuers`, and a line in the list of `Issuer`.
protocol IssuerKind: IssuerSettings {
    static var shape: ObjectShape<Self> { get }

    /// Whether a certificate's own `zone_id` has an effect.
    static var hasZones: Bool { get }

    /// Reports settings that contradict each other or the rest of the file.
    func check(_ issuer: Issuer, _ rules: inout Rules)

    /// Checks a certificate that the issuer is to issue.
    func check(_ issued: IssuedCertificate, of certificate: NamedCertificate, from issuer: Issuer, _ rules: inout Rules)
}

extension IssuerKind {
    static var hasZones: Bool { false }

    func check(_ issuer: Issuer, _ rules: inout Rules) {}

    func check(
        _ issued: IssuedCertificate, of certificate: NamedCertificate, from issuer: Issuer, _ rules: inout Rules
    ) {}
}
