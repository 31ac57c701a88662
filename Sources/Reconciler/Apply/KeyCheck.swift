import Issuers
import PKI
import State

/// Finds stored certificates that can't be served: rows that are damaged, or partly replaced by other or older rows.
package enum KeyCheck {
    /// Of keys that no seal binds to a leaf, how many are compared with theirs, which costs a hundred times as much as
    /// opening them. If there are only a few, somebody may have swapped rows. If there are more, an earlier version
    /// wrote the state, and that version compared keys and leaves before it stored them.
    private static let fullChecks = 100

    /// The certificates whose leaf and key do not belong to their row, and why. Takes some microseconds for each.
    package static func damaged(in store: any StateStore, _ sealer: Sealer) throws(StateError) -> [(
        name: String, reason: String
    )] {
        var damaged: [(name: String, reason: String)] = []
        var unbound = 0
        try store.forEachCertificate { certificate in
            if !certificate.isKeyBoundToLeaf { unbound += 1 }
            do {
                _ = try certificate.openKey(sealer, comparesUnbound: unbound <= fullChecks)
            } catch {
                damaged.append((certificate.name, "\(error)"))
            }
        }
        return damaged
    }
}
