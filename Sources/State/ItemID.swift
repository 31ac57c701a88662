/// The kinds of items in the state. An item refers only to items of earlier kinds, with one exception: a Vault may
/// refer to an identity with which Aegis logs in to it.
package enum ItemKind: String, Sendable, CaseIterable, Comparable {
    case gateway
    /// A Vault from which identities and certificates come.
    case vault
    /// A certificate with which the gateway identifies itself to peers.
    case identity
    case issuer
    /// The settings of this gateway as one of several nodes.
    case node
    /// When expiring certificates are reported, and to whom.
    case alerts
    /// A certificate, declared by name or for a host.
    case certificate
    /// A certificate pack at Cloudflare's edge.
    case edgeCertificate = "edge_certificate"
    case host

    /// Whether the state has at most one item of the kind. The item's name is then the kind's name.
    package var isSingle: Bool { [.gateway, .node, .alerts].contains(self) }

    private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }

    /// Sorts kinds so that each kind comes after the kinds that it refers to.
    package static func < (left: ItemKind, right: ItemKind) -> Bool { left.rank < right.rank }
}

package struct ItemID: Sendable, Hashable {
    package let kind: ItemKind
    /// The item's name, unique among items of its kind.
    package let name: String

    package init(_ kind: ItemKind, _ name: String) {
        self.kind = kind
        self.name = name
    }

    /// The ID of the only item of its kind.
    package init(single kind: ItemKind) { self.init(kind, kind.rawValue) }

    /// Hashes only the name: items of different kinds rarely share a name, and hashing a kind would hash its text.
    package func hash(into hasher: inout Hasher) { hasher.combine(name) }
}

extension ItemID: Comparable {
    /// Sorts items so that each item comes after the items that it refers to, and by name within a kind.
    package static func < (left: ItemID, right: ItemID) -> Bool { (left.kind, left.name) < (right.kind, right.name) }
}
