import ConfigModel
import PKI
import State

/// One kind of issuer: how its certificates are obtained and revoked, and in what else it differs from other kinds.
///
/// A provider has the settings of one issuer and nothing else, so it is made whenever it is needed (`Issuer.provider`).
/// Resources that the providers of a process share are passed to each call (`IssuerResources`). Other code asks a
/// provider for a property of its kind, and never compares kinds. To add a kind, write its settings (`IssuerKind` in
/// ConfigModel), a provider, and a line in the list of `IssuerProviders`.
package protocol IssuerProvider: Sendable {
    /// The name under which the state records this kind of issuer as the source of a certificate.
    static var source: CertificateFacts.Source { get }
    /// Whether this process makes the certificates itself, so that nothing must be ordered elsewhere.
    static var isLocal: Bool { get }
    /// Whether the CA advises when to renew (renewal information, RFC 9773).
    static var givesAdvice: Bool { get }
    /// Whether Aegis can ask for the revocation of certificates.
    static var canRevoke: Bool { get }
    /// The name of the service that issues, for messages such as `is revoked at …`.
    static var serviceName: String { get }
    /// The maximum time between a renewal and the expiry, in seconds. Nil means no maximum.
    static var longestLeadSeconds: Int64? { get }

    /// Returns nil for an issuer of another kind.
    init?(_ issuer: Issuer)

    /// Identifies the CA, such as the URL of an ACME directory. The state records it with each certificate: a
    /// certificate from another CA is replaced. Empty for kinds that record none.
    var directory: String { get }
    /// The address of the CA, which messages name while they wait for it. It is equal for two issuers of the same CA.
    var address: String { get }
    /// Whether a replaced certificate is revoked after its replacement is in force.
    var revokesReplaced: Bool { get }
    /// Whether a certificate that aegis.yaml no longer names is revoked.
    var revokesRemoved: Bool { get }

    /// Whether an interrupted order may leave a doubt: if the process ends before the CA's answer arrives, Aegis can't
    /// find out whether the certificate was issued.
    func leavesDoubt(about issued: IssuedCertificate) -> Bool

    /// Faults of the settings that prevent any issuance. Only faults that this machine can find without calls to
    /// servers are returned. `store` is nil if there is no state yet.
    func obstacles(_ secrets: SecretReader, _ store: (any StateStore)?) -> [IssuanceFailure]

    /// The secrets in the settings that the issuer needs for its next certificate. For example, an ACME issuer needs
    /// the key of its external account only until the account at the CA exists.
    func neededSecrets(_ store: (any StateStore)?) -> [Secret]
    /// The secrets that are decoded before their use, so that they need not be on one line.
    var decodedSecrets: [Secret] { get }

    /// Issues a certificate, which may take minutes. Unless the kind is local, the caller holds the certificate's
    /// lease. The caller must commit the material together with its `closing`, which ends the order in the journal and
    /// the lease.
    ///
    /// After a crash, the next call continues from the journal. `startsAnew` deletes an earlier order with an unknown
    /// outcome instead.
    func issue(
        _ wanted: WantedCertificate, startsAnew: Bool, _ resources: IssuerResources
    ) throws(IssuanceFailure) -> IssuedMaterial

    /// Revokes a certificate, which can't be undone. Succeeds if the certificate is already revoked.
    ///
    /// - Returns: The certificate's identifier at the CA, for a message.
    func revoke(
        _ certificate: StoredCertificate, _ reason: RevocationReason, _ resources: IssuerResources
    ) throws(IssuanceFailure) -> String
}

extension IssuerProvider {
    package static var isLocal: Bool { false }
    package static var givesAdvice: Bool { false }
    package static var canRevoke: Bool { true }
    package static var longestLeadSeconds: Int64? { nil }

    package var directory: String { "" }
    package var address: String { directory }
    package var revokesReplaced: Bool { false }
    package var revokesRemoved: Bool { false }

    package func leavesDoubt(about issued: IssuedCertificate) -> Bool { false }

    package func obstacles(_ secrets: SecretReader, _ store: (any StateStore)?) -> [IssuanceFailure] { [] }
    package var decodedSecrets: [Secret] { [] }
}
