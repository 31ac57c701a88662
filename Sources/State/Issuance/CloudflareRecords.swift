/// How the provider that issued a certificate knows it.
package struct RemoteCertificate: Sendable, Equatable {
    /// The provider's identifier.
    package var id: String
    /// The signing request that it was issued for, in DER.
    package var request: [UInt8]

    /// An identity.
    package init(id: String, request: [UInt8]) {
        self.id = id
        self.request = request
    }
}

/// A certificate that another has taken the place of, and that is still to be revoked.
package struct SupersededCertificate: Sendable, Equatable {
    /// The provider's identifier.
    package let id: String
    /// The certificate's name in the state.
    package let certificate: String
    /// The issuer's name, whose provider it is.
    package let issuer: String
    /// When another took its place, in seconds since 1970.
    package let since: Int64
    /// How many tries to revoke it have failed.
    package var failures: Int
    /// Before when another try is no use, in seconds since 1970.
    package var nextTryAt: Int64

    /// A certificate.
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

/// A certificate pack at Cloudflare, from before it is ordered. Of several that an edge certificate has, the newest is the one
/// that is wanted; the others are there until it is active.
package struct EdgePack: Sendable, Equatable {
    /// Tells it from others; larger than those of all before it. Nil until it is put.
    package var number: Int64?
    /// The edge certificate's name.
    package let certificate: String
    /// The zone that it belongs to.
    package let zone: String
    /// What is ordered, as a text that is the same for the same order.
    package let order: String
    /// The packs that the zone had before: who lost the answer to its order knows by them which is new.
    package let formerIDs: [String]
    /// The provider's identifier; nil until it is known.
    package var id: String?
    /// Where it stands, in the provider's words; `ordering` before it was heard of.
    package var status: String
    /// When it ends, in seconds since 1970; nil before that is known.
    package var expiresAt: Int64?
    /// What the operator must do so that it is validated, a line each; then what went wrong.
    package var notes: [String]
    /// When it was ordered, in seconds since 1970.
    package let orderedAt: Int64
    /// When it was looked at last, in seconds since 1970.
    package var checkedAt: Int64
    /// Since when it stands there, in seconds since 1970.
    package var since: Int64

    /// The status before the provider has told one.
    package static let ordering = "ordering"

    /// A pack.
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
