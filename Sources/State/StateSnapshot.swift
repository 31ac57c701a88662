// State: what Aegis knows about the world, as values, and the protocol of a store that keeps them.
//
// The file is the truth, the state is its record, the gateway is its servant: apply writes what is described here, the
// gateway reads it. SQLiteState is the store; another one, shared by many machines, can take its place.

/// What the state holds, as far as planning needs it: no keys and no chains.
package struct StateSnapshot: Sendable {
    /// The number of the last apply that changed something; 0 before the first.
    package var generation: Int
    /// Raised by every committed change; 0 before the first.
    package var revision: Int
    /// Everything in the state.
    package var items: [ItemID: StoredItem]
    /// How having certificates goes, by name, where something is known of that or an order is under way.
    package var renewals: [String: RenewalProgress] = [:]
    /// The certificates that are kept for when their names come back, by name. None of them is served or renewed.
    package var kept: [String: KeptCertificate] = [:]

    /// A snapshot.
    package init(generation: Int, revision: Int = 0, items: [ItemID: StoredItem]) {
        self.generation = generation
        self.revision = revision
        self.items = items
    }

    /// The state before the first apply.
    package static let empty = StateSnapshot(generation: 0, items: [:])
}

/// A certificate that nothing in the file wants any more, set apart in case that changes.
package struct KeptCertificate: Sendable, Equatable {
    /// Its declaration, and what is known of it.
    package var item: StoredItem
    /// When it was taken out, in seconds since 1970.
    package var since: Int64

    /// A certificate.
    package init(item: StoredItem, since: Int64) {
        self.item = item
        self.since = since
    }
}

/// One item of the state.
package struct StoredItem: Sendable, Equatable {
    /// Who put an item into the state.
    package enum Owner: String, Sendable {
        /// The file, by an apply; it goes when the file no longer names it.
        case file
        /// The admin API; apply leaves it alone.
        case api
    }

    /// Who put it there.
    package var owner: Owner
    /// The compact record in JSON, in the language of the file.
    package var record: [UInt8]
    /// What is known of the certificate, for items of that kind.
    package var certificate: CertificateFacts? {
        get { if case .certificate(let facts) = facts { facts } else { nil } }
        set { facts = newValue.map(Facts.certificate) ?? .none }
    }
    private var facts: Facts

    /// Kept apart, so that the very many items that are no certificates are small.
    private indirect enum Facts: Sendable, Equatable {
        case certificate(CertificateFacts)
        case none
    }

    /// An item.
    package init(owner: Owner, record: [UInt8], certificate: CertificateFacts? = nil) {
        self.owner = owner
        self.record = record
        facts = certificate.map(Facts.certificate) ?? .none
    }
}

/// What is known of a stored certificate, besides its chain and key.
package struct CertificateFacts: Sendable, Equatable {
    /// The kinds of sources a certificate can have.
    package enum Source: String, Sendable {
        /// The operator's own.
        case custom
        /// Cloudflare's Origin CA.
        case cloudflareOrigin = "cloudflare_origin"
        /// An ACME CA.
        case letsencrypt
        /// The CA that Aegis keeps itself.
        case localCA = "local_ca"
    }

    /// The names it is for.
    package var domains: [String]
    /// Where it came from.
    package var source: Source
    /// The issuer's common name; empty when it has none.
    package var issuerCommonName: String
    /// The start of its validity, in seconds since 1970.
    package var notBefore: Int64
    /// The end of its validity, in seconds since 1970: of its chain's, where a certificate above it ends first.
    package var expiresAt: Int64
    /// Whether it is renewed before it expires.
    package var autoRenew: Bool
    /// When this leaf was stored, in seconds since 1970.
    package var createdAt: Int64
    /// SHA-256 of the leaf in lower-case hex.
    package var fingerprint: String
    /// What it rests on, as SHA-256: the text it was read from, or the local CA; empty for others.
    package var sourceDigest: [UInt8]
    /// The directory of the ACME CA that has issued it; empty for others, and where that is not known.
    package var directory: String
    /// Why it is no longer good, though it has not expired, in words that follow its name: `was revoked on …`; nil while it is.
    package var loss: String?

    /// The facts.
    package init(
        domains: [String], source: Source, issuerCommonName: String, notBefore: Int64, expiresAt: Int64,
        autoRenew: Bool, createdAt: Int64, fingerprint: String, sourceDigest: [UInt8] = [], directory: String = "",
        loss: String? = nil
    ) {
        self.domains = domains
        self.source = source
        self.issuerCommonName = issuerCommonName
        self.notBefore = notBefore
        self.expiresAt = expiresAt
        self.autoRenew = autoRenew
        self.createdAt = createdAt
        self.fingerprint = fingerprint
        self.sourceDigest = sourceDigest
        self.directory = directory
        self.loss = loss
    }
}
