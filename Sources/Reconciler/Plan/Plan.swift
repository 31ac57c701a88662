import ConfigModel
import State

// Reconciler: computes the changes from the state to the file, and applies them.
//
// `Planner` compares a configuration with a snapshot of the state and makes a `Plan`, a value. Renderers turn plans
// into text for people and JSON for machines. Neither touches a file, a database or the network.

/// The changes of an apply, each after the changes that it depends on. `Applier` decides when it commits each.
package struct Plan: Sendable, Equatable {
    /// The generation of the state that the plan starts from; 0 before the first apply.
    package var generation: Int
    /// The changes, each after the changes that it depends on. Deletions come last.
    package var changes: [Change]
    /// Items of the state that did not come from the file. An apply leaves these items alone.
    package var unmanaged: [ItemID]

    /// Set when the plan takes so many names out of service that it may be a mistake.
    package var massDeletion: MassDeletion?
    /// The conflicts between the file and items that the admin API owns. An apply with any conflict changes nothing.
    package var conflicts: [Diagnostic] = []

    /// How many names a plan takes out of service, so that no enabled host has them any more. The operator must confirm
    /// such a plan.
    package struct MassDeletion: Sendable, Equatable {
        /// With fewer names than this, no confirmation is needed.
        static let fewestNames = 10

        package let lost: Int
        /// How many names the enabled hosts in the state have, counting only hosts that come from the file.
        package let total: Int

        /// Nil unless more than half of at least ten names are lost.
        init?(lost: Int, of total: Int) {
            guard total >= Self.fewestNames, 2 * lost > total else { return nil }
            self.lost = lost
            self.total = total
        }
    }

    package var isEmpty: Bool { changes.isEmpty }

    package func count(of action: Action) -> Int { changes.count { $0.action == action } }
}

/// What a change does to its item.
package enum Action: String, Sendable, CaseIterable {
    /// Adds a new item to the state.
    case create
    /// Changes an item in place.
    case update
    case delete
    case issue
    /// Issues a certificate again because it is due.
    case renew
    /// Stores the operator's own certificate.
    case upload
    /// Orders a certificate pack at Cloudflare.
    case order
    /// Transfers an item from the admin API to the file. Fields that differ get the file's values, and a certificate is
    /// replaced if that is needed.
    case adopt
}

/// The action of an apply for one item, and its reason.
package struct Change: Sendable, Equatable {
    package var action: Action
    /// For an adoption that also replaces the certificate: how it is replaced. Nil for all other changes.
    var replacement: Action?
    package var item: ItemID
    /// Whether the state has the item already.
    package var exists: Bool
    /// The fields that change; for a new item, all fields that are set.
    package var fields: [FieldChange]
    /// Why the item changes; nil where the fields show it.
    package var reason: String?
    /// The item in the file; nil when it is deleted.
    var declared: DeclaredItem?
    /// The item in the state, or the kept certificate that is in force until the ordered certificate is stored; nil
    /// when there is neither.
    package var former: StoredItem?
    /// The action at the provider when the item is deleted; nil for none.
    var retirement: Retirement?
    /// For a deletion: whether the certificate is kept for reuse. For a creation: whether a kept certificate is used
    /// again.
    var isKept = false
    /// Whether the certificate in force is kept for reuse when a new one replaces it.
    var keepsFormer = false
    /// The name of the stored or kept certificate that is reused as this item; nil when none is.
    var predecessor: String?
    /// The name of the kept certificate that is in force until the ordered certificate is stored; nil when there is
    /// none.
    var standIn: String?
    /// For a deletion: whether the certificate is reused under another name.
    var isPassedOn = false
    /// For a deletion: whether the certificate was kept for reuse and the time for that is over.
    var isPurged = false
}

extension Change {
    /// What is done to the item: how an adopted certificate is replaced, else `action`.
    package var work: Action {
        get { replacement ?? action }
        set { if action == .adopt { replacement = newValue } else { action = newValue } }
    }

    /// Whether the change reuses a certificate, so that none has to be issued.
    var isAtHand: Bool {
        item.kind == .certificate && action != .delete
            && (isKept || predecessor != nil || work == .update || work == .adopt)
    }
}

/// What must be done at a provider when an item is deleted.
enum Retirement: Sendable, Equatable {
    /// The issuer revokes the certificate.
    case revoke(Issuer)
    /// Cloudflare deletes the edge certificate's packs.
    case deletePack(EdgeCertificate)

    /// The part of the plan's text that follows `no longer in the file`.
    var words: String {
        switch self {
        case .revoke(let issuer):
            "it is revoked at \(type(of: issuer.provider).serviceName), which can't be undone"
        case .deletePack: "it is deleted at Cloudflare"
        }
    }
}

/// A field of an item that a change adds, replaces or removes.
package struct FieldChange: Sendable, Equatable {
    /// The keys of the file that lead to the field, joined by dots.
    package var path: String
    /// The value in the state; null when there is none.
    package var before: PlainValue
    /// The value in the file; null when there is none.
    package var after: PlainValue
}
