// State: everything that Aegis remembers, as values, and the protocol of a store for them.
//
// An apply writes to the state what the configuration file declares and which certificates were obtained; gateways read
// and serve it. SQLiteState implements the store. Another implementation, shared by many machines, could replace it.

/// The part of the state that planning needs. It contains no keys and no chains.
package struct StateSnapshot: Sendable {
    /// The number of the last apply that changed something; 0 before the first.
    package var generation: Int
    /// Incremented by every commit that changes what is served; 0 before the first.
    package var revision: Int
    /// All items, including certificates in force, but not kept certificates.
    package var items: [ItemID: StoredItem]
    /// Failures and advice by certificate name, for certificates that have failures, advice or a pending
    /// order of an issuer in the file.
    package var renewals: [String: RenewalProgress] = [:]
    /// The certificates that are kept for reuse, by name. None of them is served or renewed.
    package var kept: [String: KeptCertificate] = [:]

    package init(generation: Int, revision: Int = 0, items: [ItemID: StoredItem]) {
        self.generation = generation
        self.revision = revision
        self.items = items
    }

    /// The snapshot before the first apply.
    package static let empty = StateSnapshot(generation: 0, items: [:])
}

/// A certificate that the file no longer declares, or declares with other names. It is kept in case the file declares
/// it again.
package struct KeptCertificate: Sendable, Equatable {
    /// The certificate's declaration and facts.
    package var item: StoredItem
    /// When an apply took the certificate out of force, in seconds since 1970.
    package var since: Int64

    /// The name under which a certificate is kept when another one replaces it. No item's name contains the `@`. The
    /// fingerprint tells several former certificates of one item apart.
    package static func name(replaced name: String, fingerprint: String) -> String {
        "\(name)@\(fingerprint.prefix(8))"
    }

    package init(item: StoredItem, since: Int64) {
        self.item = item
        self.since = since
    }

    /// The time until which the certificate is kept, in seconds since 1970: its expiry, or `retention` seconds after
    /// `since` if that is earlier. The store deletes the certificate then (`Retention.certificateSeconds`).
    package func end(retention: Int64) -> Int64 { min(since + retention, item.certificate?.expiresAt ?? .max) }
}

package struct StoredItem: Sendable, Equatable {
    /// The party that put an item into the state.
    package enum Owner: String, Sendable {
        /// An apply. The item is deleted when the file no longer declares it.
        case file
        /// The admin API. Applies leave the item alone.
        case api
    }

    package var owner: Owner
    /// The item as compact JSON, with the keys of the file.
    package var record: [UInt8]
    /// The facts of a certificate; nil for other items.
    package var certificate: CertificateFacts? {
        get { if case .certificate(let facts) = facts { facts } else { nil } }
        set { facts = newValue.map(Facts.certificate) ?? .none }
    }
    private var facts: Facts

    /// Indirect, so that the very many items that are not certificates stay small.
    private indirect enum Facts: Sendable, Equatable {
        case certificate(CertificateFacts)
        case none
    }

    package init(owner: Owner, record: [UInt8], certificate: CertificateFacts? = nil) {
        self.owner = owner
        self.record = record
        facts = certificate.map(Facts.certificate) ?? .none
    }
}
