/// What having certificates from CAs needs to remember, so that a crash repeats nothing and no order is made twice.
///
/// None of it is served, so none of it raises the revision. Who writes an order holds its certificate's lease.
package protocol IssuanceJournal: AnyObject, Sendable {
    /// The account at a CA; nil when there is none yet.
    func account(_ id: CAAccount.ID) throws(StateError) -> CAAccount?

    /// All accounts.
    func accounts() throws(StateError) -> [CAAccount]

    /// Adds an account unless there is one already, and tells which there is now: of two that begin at once, both go on
    /// with the same key.
    func addAccount(_ account: CAAccount) throws(StateError) -> CAAccount

    /// Changes an account's address at the CA, its contact or its keys.
    func updateAccount(_ account: CAAccount) throws(StateError)

    /// The order that is under way for a certificate; nil when there is none.
    func pendingOrder(for certificate: String) throws(StateError) -> PendingOrder?

    /// All orders under way, by certificate.
    func pendingOrders() throws(StateError) -> [PendingOrder]

    /// Puts an order. Throws `StateError.leaseLost` when `holder` does not hold the certificate's lease.
    func putOrder(_ order: PendingOrder, by holder: LeaseHolder) throws(StateError)

    /// Takes an order out that has come to nothing; one that succeeded ends with its certificate's commit.
    func deleteOrder(for certificate: String, by holder: LeaseHolder) throws(StateError)

    /// What was asked of a CA since a time.
    func ledger(of directory: String, since: Int64) throws(StateError) -> [LedgerEntry]

    /// Adds to the ledger, and takes out of it what is older than any limit looks back.
    func addToLedger(_ entry: LedgerEntry) throws(StateError)

    /// How renewing a certificate goes; nil when nothing is known.
    func renewal(of certificate: String) throws(StateError) -> RenewalProgress?

    /// How renewing goes, for all certificates of which something is known.
    func renewals() throws(StateError) -> [RenewalProgress]

    /// Notes how renewing goes.
    func putRenewal(_ renewal: RenewalProgress) throws(StateError)

    /// Notes only what the CA advises: failures that others have noted meanwhile stay.
    func putAdvice(_ renewal: RenewalProgress) throws(StateError)

    /// The certificates that are still to be revoked, the oldest first.
    func supersededCertificates() throws(StateError) -> [SupersededCertificate]

    /// Changes how revoking goes.
    func updateSuperseded(_ certificate: SupersededCertificate) throws(StateError)

    /// Takes out a certificate that was revoked.
    func deleteSuperseded(id: String) throws(StateError)

    /// The packs of edge certificates, by certificate and then the oldest first.
    func edgePacks() throws(StateError) -> [EdgePack]

    /// Puts a pack, and gives it a number when it has none. Throws `StateError.leaseLost` when `holder` does not hold the edge
    /// certificate's lease.
    func putEdgePack(_ pack: EdgePack, by holder: LeaseHolder) throws(StateError) -> EdgePack

    /// Takes a pack out.
    func deleteEdgePack(_ pack: EdgePack, by holder: LeaseHolder) throws(StateError)
}

/// Our account at a CA. Its key proves who we are; losing it means a new account, no more.
package struct CAAccount: Sendable, Equatable {
    /// Which account: one a directory, and one for each external account that is bound to.
    package struct ID: Sendable, Hashable {
        /// The CA's directory.
        package let directory: String
        /// The external account's key identifier (RFC 8555 section 7.3.4); empty without one.
        package let externalKeyID: String

        /// An identity.
        package init(directory: String, externalKeyID: String = "") {
            self.directory = directory
            self.externalKeyID = externalKeyID
        }

        /// What its key is sealed for.
        package var row: String { "\(directory) \(externalKeyID)" }
    }

    /// Which account.
    package let id: ID
    /// Its address at the CA; nil until the CA has told it.
    package var url: String?
    /// Who the CA may write to; empty for nobody.
    package var contact: String
    /// Its key, sealed for `id.row`.
    package var sealedKey: [UInt8]
    /// The key that the CA is being told to take in place of `sealedKey`, sealed likewise; nil when there is none.
    package var sealedNextKey: [UInt8]?
    /// When it was made, in seconds since 1970.
    package let createdAt: Int64

    /// An account.
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

/// An order at a CA from before the first call to the certificate's commit: one for a certificate at a time.
package struct PendingOrder: Sendable, Equatable {
    /// The certificate it is for.
    package let certificate: String
    /// The issuer's name in the file.
    package let issuer: String
    /// Where the CA is called.
    package let directory: String
    /// The names it is for, in the order of the request.
    package let domains: [String]
    /// The order's address at the CA; nil until the CA has told it.
    package var url: String?
    /// Whether the CA was asked to issue: from then on it may have done so.
    package var isFinalized: Bool
    /// The new certificate's key, sealed for the certificate's name.
    package let sealedKey: [UInt8]
    /// The signing request, in DER.
    package let request: [UInt8]
    /// When it was begun, in seconds since 1970.
    package let createdAt: Int64
    /// What was asked for besides the names, as whoever orders writes it; empty where that is not known.
    package let terms: String
    /// Whether the CA took it as the renewal of a certificate that it knows (RFC 9773 section 5).
    package var isRenewal: Bool

    /// An order.
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

/// Something that counts against a CA's limits.
package struct LedgerEntry: Sendable, Equatable {
    /// What counts.
    package enum Kind: String, Sendable {
        /// An order was made.
        case order
        /// A certificate was issued.
        case certificate
        /// A name's authorization failed.
        case failedAuthorization = "failed_authorization"
    }

    /// How far back an entry is kept, in seconds: longer than any limit looks.
    package static let keptSeconds: Int64 = 8 * 86_400

    /// When, in seconds since 1970.
    package let at: Int64
    /// The CA's directory.
    package let directory: String
    /// What.
    package let kind: Kind
    /// The names it was about.
    package let names: [String]
    /// Whether the CA said beforehand that it was due (RFC 9773): such orders don't count.
    package let isExempt: Bool

    /// An entry.
    package init(at: Int64, directory: String, kind: Kind, names: [String], isExempt: Bool = false) {
        self.at = at
        self.directory = directory
        self.kind = kind
        self.names = names
        self.isExempt = isExempt
    }
}

/// How having or renewing a certificate goes.
package struct RenewalProgress: Sendable, Equatable {
    /// The certificate's name.
    package let certificate: String
    /// How many tries have failed since the last success.
    package var failures = 0
    /// When it may be tried again, in seconds since 1970; nil for at once.
    package var nextTryAt: Int64?
    /// Why the last try failed, in a line.
    package var lastFailure: String?
    /// The leaf that the CA's advice is about, as its fingerprint.
    package var advisedFingerprint: String?
    /// The instant picked from the window that the CA advises (RFC 9773), in seconds since 1970.
    package var advisedAt: Int64?
    /// When to ask for advice again.
    package var nextAdviceAt: Int64?

    /// Nothing known yet.
    package init(certificate: String) { self.certificate = certificate }
}

extension RenewalProgress {
    /// For how long a certificate is not advised on that advice has renewed, in seconds: else a CA that always advises the past would
    /// have it renewed without end.
    private static let pauseAfterAdviceSeconds: Int64 = 6 * 3600

    /// What remains of it when a certificate takes the place of the one with the fingerprint `former`; nil for nothing. Failures are
    /// over, and what was advised was about the former.
    package func after(_ former: String?, renewedTo facts: CertificateFacts) -> RenewalProgress? {
        guard let advisedAt, advisedAt <= facts.createdAt, advisedFingerprint == former else { return nil }
        var next = RenewalProgress(certificate: certificate)
        next.advisedFingerprint = facts.fingerprint
        let lifetime = max(0, facts.expiresAt - facts.createdAt)
        next.nextAdviceAt = facts.createdAt + min(lifetime / 8, Self.pauseAfterAdviceSeconds)
        return next
    }
}
