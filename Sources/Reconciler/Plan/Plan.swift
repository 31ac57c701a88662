import ConfigModel
import State

// Reconciler: what it takes to get from the state to what the file says.
//
// `Planner` compares a configuration with a snapshot of the state and makes a `Plan`, a value. Renderers turn plans
// into text for people and JSON for machines. Nothing here touches a file, a database or the network.

/// What an apply would do, in the order of dependence. `Applier` says when it does what.
package struct Plan: Sendable, Equatable {
    /// The generation of the state that it starts from; 0 before the first apply.
    package var generation: Int
    /// The changes, those that others depend on first and deletions last.
    package var changes: [Change]
    /// What is in the state by other ways than the file; it is left alone.
    package var unmanaged: [ItemID]

    /// How many of the file's hosts that are served would be so no longer, where that is so many that it may be a slip.
    package var massDeletion: MassDeletion?

    /// Deletions that want the operator's word.
    package struct MassDeletion: Sendable, Equatable {
        /// From how many hosts on they do.
        static let fewestHosts = 10

        /// How many enabled hosts go.
        package let deleted: Int
        /// How many enabled ones stay and are disabled.
        package let disabled: Int
        /// How many enabled ones the file had put into the state.
        package let total: Int

        /// Nil unless more than half of at least ten enabled ones go or are disabled.
        init?(deleted: Int, disabled: Int, of total: Int) {
            guard total >= Self.fewestHosts, 2 * (deleted + disabled) > total else { return nil }
            self.deleted = deleted
            self.disabled = disabled
            self.total = total
        }
    }

    /// Whether there is nothing to do.
    package var isEmpty: Bool { changes.isEmpty }

    /// How many changes there are of an action.
    package func count(of action: Action) -> Int { changes.count { $0.action == action } }
}

/// What is done to an item.
package enum Action: String, Sendable, CaseIterable {
    /// A new item is put into the state.
    case create
    /// An item is changed in place.
    case update
    /// An item is taken out.
    case delete
    /// A certificate is issued.
    case issue
    /// A certificate is issued again because it is due.
    case renew
    /// The operator's own certificate is taken in.
    case upload
    /// A certificate pack is ordered at Cloudflare.
    case order
}

/// One change of a plan.
package struct Change: Sendable, Equatable {
    /// What is done.
    package var action: Action
    /// What it is done to.
    package var item: ItemID
    /// Whether the state has the item already.
    package var exists: Bool
    /// The fields that change; all that are set for a new item.
    package var fields: [FieldChange]
    /// Why, where the fields don't tell.
    package var reason: String?
    /// What the file says of the item; nil where the item goes.
    var declared: DeclaredItem?
    /// What the state has of the item, or keeps and has stand in for it; nil where it is new.
    package var former: StoredItem?
    /// What is done about it at its provider, where the item goes.
    var retirement: Retirement?
    /// Whether the certificate is set apart when it goes, and taken from there when it comes.
    var isKept = false
    /// The certificate that goes on under this name; nil where none does.
    var predecessor: String?
    /// The kept certificate that is in force under this name until the one that is issued is stored; nil where none is.
    var standIn: String?
    /// Whether the certificate that goes does so under another name.
    var isPassedOn = false
    /// Whether the certificate that goes was set apart before, and its time is over.
    var isPurged = false
}

extension Change {
    /// Whether it is of a certificate that is there already, so that nobody has to issue it.
    var isAtHand: Bool {
        item.kind == .certificate && action != .delete && (isKept || predecessor != nil || action == .update)
    }
}

/// What is done at a provider when an item goes.
enum Retirement: Sendable, Equatable {
    /// The certificate is revoked.
    case revoke(CloudflareOriginIssuer)
    /// The pack is deleted.
    case deletePack(EdgeCertificate)

    /// What it means, behind `no longer in the file`.
    var words: String {
        switch self {
        case .revoke: "it is revoked at Cloudflare, which can't be undone"
        case .deletePack: "it is deleted at Cloudflare"
        }
    }
}

/// One field of a change.
package struct FieldChange: Sendable, Equatable {
    /// Its keys in the file, joined by dots.
    package var path: String
    /// The value in the state; null when there is none.
    package var before: PlainValue
    /// The value in the file; null when there is none.
    package var after: PlainValue
}
