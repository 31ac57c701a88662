/// The record of steps by which certificates are obtained. After a crash no step is repeated and no order is placed
/// twice.
///
/// Writes to the journal do not raise the revision, since they change nothing that gateways serve. A process that
/// writes an order must hold the lease of the order's certificate.
package protocol IssuanceJournal: AnyObject, Sendable {
    /// The account at a CA; nil when there is none yet.
    func account(_ id: CAAccount.ID) throws(StateError) -> CAAccount?

    func accounts() throws(StateError) -> [CAAccount]

    /// Adds an account unless there is one, and returns the stored one: two processes that create the account at the
    /// same time continue with the same key.
    func addAccount(_ account: CAAccount) throws(StateError) -> CAAccount

    /// Updates an account's URL at the CA, its contact or its keys.
    func updateAccount(_ account: CAAccount) throws(StateError)

    /// The pending order for a certificate; nil when there is none.
    func pendingOrder(for certificate: String) throws(StateError) -> PendingOrder?

    /// All pending orders, sorted by certificate.
    func pendingOrders() throws(StateError) -> [PendingOrder]

    /// Adds or updates an order. Throws `StateError.leaseLost` when `holder` does not hold the certificate's lease.
    func putOrder(_ order: PendingOrder, by holder: LeaseHolder) throws(StateError)

    /// Deletes an order that has failed. A successful order is deleted by the commit of its certificate.
    func deleteOrder(for certificate: String, by holder: LeaseHolder) throws(StateError)

    /// The entries of a CA's ledger from the time `since` on, oldest first. `since` is in seconds since 1970.
    func ledger(of directory: String, since: Int64) throws(StateError) -> [LedgerEntry]

    /// Adds an entry to the ledger, and deletes entries that no limit counts any more.
    func addToLedger(_ entry: LedgerEntry) throws(StateError)

    /// Failures and advice for a certificate; nil when there are none.
    func renewal(of certificate: String) throws(StateError) -> RenewalProgress?

    /// Failures and advice for all certificates that have any.
    func renewals() throws(StateError) -> [RenewalProgress]

    /// Stores a certificate's failures and advice, and replaces the former ones.
    func putRenewal(_ renewal: RenewalProgress) throws(StateError)

    /// Stores only the CA's advice: another process may have recorded failures meanwhile.
    func putAdvice(_ renewal: RenewalProgress) throws(StateError)

    /// The certificates that are still to be revoked, oldest first.
    func supersededCertificates() throws(StateError) -> [SupersededCertificate]

    /// Updates the failures and the next try of a revocation.
    func updateSuperseded(_ certificate: SupersededCertificate) throws(StateError)

    /// Removes a certificate from the list of those to revoke: it is revoked, or Aegis has given up.
    func deleteSuperseded(id: String) throws(StateError)

    /// The packs of all edge certificates, sorted by certificate. The packs of one certificate are sorted by age,
    /// oldest first.
    func edgePacks() throws(StateError) -> [EdgePack]

    /// Adds or updates a pack; a new pack gets a number. Throws `StateError.leaseLost` when `holder` does not hold the
    /// edge certificate's lease.
    func putEdgePack(_ pack: EdgePack, by holder: LeaseHolder) throws(StateError) -> EdgePack

    /// Deletes a pack from the state only, not at its provider.
    func deleteEdgePack(_ pack: EdgePack, by holder: LeaseHolder) throws(StateError)
}

/// Aegis's account at a CA. The account's key authenticates Aegis. If the key is lost, a new account can be created.
package struct CAAccount: Sendable, Equatable {
    /// Identifies an account. Aegis has one account for each pair of a directory and an external account.
    package struct ID: Sendable, Hashable {
        /// The URL of the CA's directory.
        package let directory: String
        /// The key identifier of the external account (RFC 8555 section 7.3.4); empty without an external account.
        package let externalKeyID: String

        package init(directory: String, externalKeyID: String = "") {
            self.directory = directory
            self.externalKeyID = externalKeyID
        }

        /// The name of the row that the account's keys are sealed for.
        package var row: String { "\(directory) \(externalKeyID)" }
    }

    package let id: ID
    /// The account's URL at the CA; nil until the CA has sent it.
    package var url: String?
    /// The e-mail address that the CA may write to; empty for none.
    package var contact: String
    /// The account's key, sealed for the row `id.row`.
    package var sealedKey: [UInt8]
    /// The new key while the account's key is being changed, sealed like `sealedKey`; else nil.
    package var sealedNextKey: [UInt8]?
    /// When the account was created, in seconds since 1970.
    package let createdAt: Int64

    package init(
        id: ID, url: String? = nil, contact: String, sealedKey: [UInt8], sealedNextKey: [UInt8]? = nil,
        createdAt: Int64
    ) {
        self.id = id
        self.url = url
        self.contact = contact
        self.sealedKey = sealedKey
        self.sealedNextKey = sealedNextKey
        self.createdAt = createdAt
    }
}

/// An order at a CA. It is stored before the first call to the CA, and deleted by the commit of the certificate. A
/// certificate has at most one order at a time.
package struct PendingOrder: Sendable, Equatable {
    package let certificate: String
    /// The issuer's name in the file; empty for an order that a client of the admin API placed.
    package let issuer: String
    /// Identifies the CA: for ACME the URL of its directory, for Cloudflare's Origin CA the API's URL and the type of
    /// key, for a Vault its name and the mount.
    package let directory: String
    /// The names to issue for, in the order of the request.
    package let domains: [String]
    /// The order's URL at the CA; nil until the CA has sent it.
    package var url: String?
    /// Whether the CA was asked to issue. From then on the CA may have issued the certificate.
    package var isFinalized: Bool
    /// The new certificate's key, sealed for the certificate's name.
    package let sealedKey: [UInt8]
    /// The signing request, in DER.
    package let request: [UInt8]
    /// When the order was begun, in seconds since 1970.
    package let createdAt: Int64
    /// What the order requests besides the names, as text that changes with the settings. Empty for Cloudflare, and in
    /// orders of earlier versions of Aegis.
    package let terms: String
    /// Whether the CA accepted the order as the replacement of a certificate that it knows (RFC 9773 section 5).
    package var isRenewal: Bool

    package init(
        certificate: String, issuer: String, directory: String, domains: [String], url: String? = nil,
        isFinalized: Bool = false, sealedKey: [UInt8], request: [UInt8], createdAt: Int64, terms: String = "",
        isRenewal: Bool = false
    ) {
        self.certificate = certificate
        self.issuer = issuer
        self.directory = directory
        self.domains = domains
        self.url = url
        self.isFinalized = isFinalized
        self.sealedKey = sealedKey
        self.request = request
        self.createdAt = createdAt
        self.terms = terms
        self.isRenewal = isRenewal
    }
}

/// An event that counts against a CA's rate limits.
package struct LedgerEntry: Sendable, Equatable {
    package enum Kind: String, Sendable {
        case order
        case certificate
        /// The validation of a name failed.
        case failedAuthorization = "failed_authorization"
    }

    /// How long entries are kept, in seconds: longer than any limit's window.
    package static let keptSeconds: Int64 = 8 * 86_400

    /// When the event happened, in seconds since 1970.
    package let at: Int64
    /// The URL of the CA's directory.
    package let directory: String
    package let kind: Kind
    /// The names of the order, the certificate or the failed validation.
    package let names: [String]
    /// Whether the CA exempts the event from its limits, because the order followed the CA's renewal information (RFC
    /// 9773).
    package let isExempt: Bool

    package init(at: Int64, directory: String, kind: Kind, names: [String], isExempt: Bool = false) {
        self.at = at
        self.directory = directory
        self.kind = kind
        self.names = names
        self.isExempt = isExempt
    }
}

/// Failures to obtain or renew a certificate, and the CA's advice for it.
package struct RenewalProgress: Sendable, Equatable {
    /// The certificate's name.
    package let certificate: String
    /// How many tries have failed since the last success.
    package var failures = 0
    /// The earliest time of the next try, in seconds since 1970; nil for at once.
    package var nextTryAt: Int64?
    /// Why the last try failed, in one line.
    package var lastFailure: String?
    /// The fingerprint of the leaf that the CA's advice is for.
    package var advisedFingerprint: String?
    /// The instant to renew, picked from the window that the CA advises (RFC 9773), in seconds since 1970.
    package var advisedAt: Int64?
    /// When to ask for advice again, in seconds since 1970.
    package var nextAdviceAt: Int64?

    package init(certificate: String) { self.certificate = certificate }
}

extension RenewalProgress {
    /// The longest pause, in seconds, before the CA is asked for advice again after a renewal that its advice caused.
    /// Without the pause, a CA that always advises a time in the past would cause endless renewals.
    private static let pauseAfterAdviceSeconds: Int64 = 6 * 3600

    /// The progress to store when a new certificate replaces the certificate with the fingerprint `former`; nil when
    /// nothing needs to be stored. Failures are forgotten. After a renewal that the CA's advice caused, the pause
    /// before the next advice is kept.
    package func after(_ former: String?, renewedTo facts: CertificateFacts) -> RenewalProgress? {
        guard let advisedAt, advisedAt <= facts.createdAt, advisedFingerprint == former else { return nil }
        var next = RenewalProgress(certificate: certificate)
        next.advisedFingerprint = facts.fingerprint
        let lifetime = max(0, facts.expiresAt - facts.createdAt)
        next.nextAdviceAt = facts.createdAt + min(lifetime / 8, Self.pauseAfterAdviceSeconds)
        return next
    }
}
