import ConfigModel
import Issuers
import PKI
import State

/// Changes of what the admin API owns, as mutations of the state. Each is checked by the rules of the file, together with
/// what the file owns. The caller must hold the lease for applying, and commits the mutations under it.
package struct OwnedItems {
    let store: any StateStore
    /// In seconds since 1970.
    let now: Int64

    package init(_ store: any StateStore, now: Int64) {
        self.store = store
        self.now = now
    }

    /// A change, to be committed.
    package struct Change {
        package let item: ItemID
        /// Empty if the item is already as it was asked for.
        package let mutations: [StateMutation]
        /// Further facts for the event about the change.
        package var details: [String: String] = [:]
        /// Must be held until the commit, and then be released.
        package var lease: LeaseKeeper?
    }

    func refuseFileOwned(_ id: ItemID, _ owner: StoredItem.Owner) throws {
        guard owner == .api else {
            throw OperationFailure.ownedByFile(id, generation: try store.position().generation)
        }
    }
}
