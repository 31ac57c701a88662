import ConfigModel
import PKI
import State
import Vault

/// A PKI engine of HashiCorp Vault or OpenBao.
///
/// Vault answers a request with the certificate, so there is no order to follow. Before the call, the state's journal
/// stores the key and the request. After a crash or a lost answer, the next try sends the same request again. Vault may
/// then have signed the request twice; the first certificate is never used.
struct VaultPKIProvider: IssuerProvider {
    static let source = CertificateFacts.Source.vaultPKI
    static let serviceName = "Vault"

    private let name: String
    private let settings: VaultPKIIssuer

    init?(_ issuer: Issuer) {
        guard let settings = issuer.settings as? VaultPKIIssuer else { return nil }
        (name, self.settings) = (issuer.name, settings)
    }

    /// A mount has one CA at a time, so two roles of a mount count as the same CA.
    var directory: String { "vault:\(settings.vault)/\(settings.mount)" }

    func neededSecrets(_ store: (any StateStore)?) -> [Secret] { [] }

    func issue(
        _ wanted: WantedCertificate, startsAnew: Bool, _ resources: IssuerResources
    ) throws(IssuanceFailure) -> IssuedMaterial {
        let context = resources.context
        do {
            let session = try resources.vaults.session(named: settings.vault)
            let keyType = wanted.keyType ?? settings.keyType
            let pending = try begun(wanted, keyType, startsAnew: startsAnew, context) ?? begin(wanted, keyType, context)
            let der = try context.sealer.open(pending.sealedKey, purpose: SealPurpose.orderKey, row: wanted.name)
            let key = try PrivateKey(der: der)
            let signed = try session.sign(
                order(wanted), key: key, request: CertificateRequest(der: pending.request))
            return try material(signed, key, wanted, now: context.now())
        } catch let error as VaultError {
            throw IssuanceFailure(error, now: context.now())
        } catch {
            throw IssuanceFailure(error, now: context.now())
        }
    }

    private func order(_ wanted: WantedCertificate) throws(PKIError) -> VaultCertificateOrder {
        VaultCertificateOrder(
            mount: settings.mount, role: settings.role, names: try Self.subjects(of: wanted),
            seconds: settings.ttl?.components.seconds)
    }

    private static func subjects(of wanted: WantedCertificate) throws(PKIError) -> [SubjectName] {
        try wanted.names.map { (name) throws(PKIError) in try SubjectName(name) }
    }

    /// The order in the journal, if it is for the same names, key type and CA. Deletes any other order.
    private func begun(
        _ wanted: WantedCertificate, _ keyType: KeyType, startsAnew: Bool, _ context: IssuanceContext
    ) throws(StateError) -> PendingOrder? {
        guard let pending = try context.store.pendingOrder(for: wanted.name) else { return nil }
        if !startsAnew, pending.directory == directory, Set(pending.domains) == Set(wanted.names),
            pending.terms == keyType.rawValue
        {
            return pending
        }
        try context.store.deleteOrder(for: wanted.name, by: context.holder)
        return nil
    }

    /// Makes the key and the request, and stores them in the journal.
    private func begin(
        _ wanted: WantedCertificate, _ keyType: KeyType, _ context: IssuanceContext
    ) throws -> PendingOrder {
        let key = try PrivateKey.generate(KeyAlgorithm(keyType))
        let pending = PendingOrder(
            certificate: wanted.name, issuer: name, directory: directory, domains: wanted.names,
            sealedKey: try context.sealer.seal(key.der(), purpose: SealPurpose.orderKey, row: wanted.name),
            request: try CertificateRequest(key: key, names: Self.subjects(of: wanted)).der, createdAt: context.now(),
            terms: keyType.rawValue)
        try context.store.putOrder(pending, by: context.holder)
        return pending
    }

    /// Checks a certificate that Vault has signed: it must have all names, be valid now and be strong. Vault leaves out
    /// names that the role does not allow.
    private func material(
        _ signed: VaultCertificate, _ key: PrivateKey, _ wanted: WantedCertificate, now: Int64
    ) throws -> IssuedMaterial {
        if let misfit = signed.chain.misfit(for: wanted.names, now: now) {
            throw IssuanceFailure(
                "the certificate that the role '\(settings.role)' has signed \(misfit.text)",
                hint: misfit.hint ?? "the role must take the names of the request (use_csr_sans), or allow them")
        }
        try signed.chain.checkStrength()
        return IssuedMaterial(
            chain: signed.chain, key: key, source: Self.source,
            warnings: signed.notes.map { "was issued, but: \($0)" }
                + signed.chain.warnings(signed.chain.refusal(now: now), now: now),
            closing: [.endOrder(certificate: wanted.name)], directory: directory)
    }

    /// Revokes a certificate at Vault, whose API takes no reason.
    func revoke(
        _ certificate: StoredCertificate, _ reason: RevocationReason, _ resources: IssuerResources
    ) throws(IssuanceFailure) -> String {
        do {
            let leaf = try CertificateChain(pem: certificate.chain).leaf
            try resources.vaults.session(named: settings.vault).revoke(leaf, ofMount: settings.mount)
            return "serial \(leaf.serial)"
        } catch let error as VaultError {
            throw IssuanceFailure(error, now: resources.context.now())
        } catch {
            throw IssuanceFailure(error, now: resources.context.now())
        }
    }
}
