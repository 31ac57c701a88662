/// A provider's record of a certificate that it has issued.
package struct RemoteCertificate: Sendable, Equatable {
    /// The certificate's identifier at its provider.
    package var id: String
    /// The signing request of the certificate, in DER.
    package var request: [UInt8]

    package init(id: String, request: [UInt8]) {
        self.id = id
        self.request = request
    }
}

/// A certificate that a newer certificate has replaced and that must still be revoked.
package struct SupersededCertificate: Sendable, Equatable {
    /// The certificate's identifier at its provider.
    package let id: String
    /// The certificate's name in the state.
    package let certificate: String
    /// The name of the issuer that can revoke the certificate.
    package let issuer: String
    /// When the certificate was replaced, in seconds since 1970.
    package let since: Int64
    /// How many tries to revoke the certificate have failed.
    package var failures: Int
    /// The earliest time of the next try, in seconds since 1970.
    package var nextTryAt: Int64

    package init(
        id: String, certificate: String, issuer: String, since: Int64, failures: Int = 0, nextTryAt: Int64 = 0
    ) {
        self.id = id
        self.certificate = certificate
        self.issuer = issuer
        self.since = since
        self.failures = failures
        self.nextTryAt = nextTryAt
    }
}

/// A certificate pack at Cloudflare, recorded before it is ordered. If an edge certificate has several packs, the
/// newest pack is wanted; older packs stay until the newest pack is active.
package struct EdgePack: Sendable, Equatable {
    /// The number of the pack's row: unique and increasing; nil until the pack is stored.
    package var number: Int64?
    /// The edge certificate's name.
    package let certificate: String
    /// The identifier of the pack's zone at Cloudflare.
    package let zone: String
    /// The order as text. Equal orders have equal texts.
    package let order: String
    /// The identifiers of the zone's packs before the order. If the answer to the order is lost, the new pack is the
    /// one whose identifier is not in this list.
    package let formerIDs: [String]
    /// The pack's identifier at the provider; nil until the provider has sent it.
    package var id: String?
    /// The pack's status in the provider's words; `ordering` before the provider's first answer.
    package var status: String
    /// When the pack expires, in seconds since 1970; nil until that is known.
    package var expiresAt: Int64?
    /// Notes for the operator: first the tasks without which the CA can't validate the names, one note for each task;
    /// then the provider's errors.
    package var notes: [String]
    /// When the pack was ordered, in seconds since 1970.
    package let orderedAt: Int64
    /// When the pack's status was last requested, in seconds since 1970.
    package var checkedAt: Int64
    /// When the status last changed, in seconds since 1970.
    package var since: Int64

    /// The status before the provider's first answer.
    package static let ordering = "ordering"

    package init(
        number: Int64? = nil, certificate: String, zone: String, order: String, formerIDs: [String], id: String? = nil,
        status: String = EdgePack.ordering, expiresAt: Int64? = nil, notes: [String] = [], orderedAt: Int64,
        checkedAt: Int64, since: Int64
    ) {
        self.number = number
        self.certificate = certificate
        self.zone = zone
        self.order = order
        self.formerIDs = formerIDs
        self.id = id
        self.status = status
        self.expiresAt = expiresAt
        self.notes = notes
        self.orderedAt = orderedAt
        self.checkedAt = checkedAt
        self.since = since
    }
}
