/// The kinds of items that the state keeps, in the order they depend on each other.
package enum ItemKind: String, Sendable, CaseIterable, Comparable {
    /// The gateway's settings.
    case gateway
    /// An issuer.
    case issuer
    /// A certificate, named or made for a host.
    case certificate
    /// A certificate of Cloudflare's edge.
    case edgeCertificate = "edge_certificate"
    /// A host.
    case host

    private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }

    /// Orders kinds so that each comes after those it refers to.
    package static func < (left: ItemKind, right: ItemKind) -> Bool { left.rank < right.rank }
}

/// The identity of an item.
package struct ItemID: Sendable, Hashable {
    /// What it is.
    package let kind: ItemKind
    /// Its name among those of its kind.
    package let name: String

    /// An identity.
    package init(_ kind: ItemKind, _ name: String) {
        self.kind = kind
        self.name = name
    }

    /// Hashes the name alone: few kinds share one, and a kind would be hashed as its text.
    package func hash(into hasher: inout Hasher) { hasher.combine(name) }
}

extension ItemID: Comparable {
    /// Orders items so that each comes after those it refers to, and by name within a kind.
    package static func < (left: ItemID, right: ItemID) -> Bool { (left.kind, left.name) < (right.kind, right.name) }
}
