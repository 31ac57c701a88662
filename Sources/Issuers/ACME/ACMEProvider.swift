import ACME
import ConfigModel
import DNS
import PKI
import State

/// A CA with the ACME protocol (RFC 8555), such as Let's Encrypt.
struct ACMEProvider: IssuerProvider {
    static let source = CertificateFacts.Source.letsencrypt
    static let givesAdvice = true
    static let serviceName = "its CA"

    private let authority: ACMEAuthority

    init?(_ issuer: Issuer) {
        guard let authority = ACMEAuthority(issuer) else { return nil }
        self.authority = authority
    }

    private var settings: ACMEIssuer { authority.settings }

    var directory: String { settings.directory.text }

    func issue(
        _ wanted: WantedCertificate, startsAnew: Bool, _ resources: IssuerResources
    ) throws(IssuanceFailure) -> IssuedMaterial {
        try resources.acme.issue(wanted, by: authority)
    }

    func revoke(
        _ certificate: StoredCertificate, _ reason: RevocationReason, _ resources: IssuerResources
    ) throws(IssuanceFailure) -> String {
        let leaf: Certificate
        do throws(PKIError) {
            leaf = try CertificateChain(pem: certificate.chain).leaf
        } catch {
            throw IssuanceFailure("\(error)")
        }
        let key = try? PrivateKey(der: certificate.openKey(resources.context.sealer))
        try resources.acme.revoke(leaf.der, reason: reason, by: settings, key: key)
        return "serial \(leaf.serial)"
    }

    // MARK: Obstacles

    func obstacles(_ secrets: SecretReader, _ store: (any StateStore)?) -> [IssuanceFailure] {
        [externalAccount(secrets, store), updateKey(secrets)].compactMap(\.self)
    }

    /// The external account's key is needed only to create the account.
    func neededSecrets(_ store: (any StateStore)?) -> [Secret] {
        guard let external = settings.externalAccount, hasAccount(external, store) else { return settings.secrets }
        return settings.secrets.filter { $0 != external.hmacKey }
    }

    var decodedSecrets: [Secret] { [settings.externalAccount?.hmacKey, tsig?.secret].compactMap(\.self) }

    private func externalAccount(_ secrets: SecretReader, _ store: (any StateStore)?) -> IssuanceFailure? {
        guard let external = settings.externalAccount, !hasAccount(external, store),
            let key = try? secrets.read(external.hmacKey)
        else { return nil }
        do throws(ACMEError) {
            _ = try ACMEExternalAccount(keyID: external.keyID, encodedKey: key)
            return nil
        } catch {
            return IssuanceFailure("\(error) (\(external.hmacKey))")
        }
    }

    /// Whether Aegis already has an account at the CA.
    private func hasAccount(_ external: ExternalAccount, _ store: (any StateStore)?) -> Bool {
        let known = try? store?.accounts().first {
            $0.id.directory == settings.directory.text && $0.id.externalKeyID == external.keyID
        }
        return known?.url != nil
    }

    /// The key that signs DNS updates (RFC 2136). Nil if Aegis sends none, or does not sign them.
    private var tsig: TSIGKey? {
        switch settings.dns?.method {
        case .rfc2136(let server): server.tsig
        case .webhook, nil: nil
        }
    }

    private func updateKey(_ secrets: SecretReader) -> IssuanceFailure? {
        guard settings.challenge == .dns01, let tsig, let key = try? secrets.read(tsig.secret) else { return nil }
        do throws(DNSFailure) {
            _ = try DNSUpdateKey(name: tsig.name, algorithm: .sha256, secret: key)
            return nil
        } catch {
            return IssuanceFailure("\(error.reason) (\(tsig.secret))", hint: error.hint)
        }
    }
}
