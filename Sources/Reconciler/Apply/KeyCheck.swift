import Issuers
import Materials
import PKI
import State

/// Finds stored certificates and identities that can't be used, because their row is damaged, or because a part of the
/// row was copied from another row or from an older version of the row.
package enum KeyCheck {
    /// The most keys that are compared with the leaf of their row. Only keys whose seal is not bound to the leaf need a
    /// comparison, which costs a hundred times as much as opening a key. A few such keys may come from rows that
    /// somebody swapped. Many such keys come from an earlier version of Aegis, which compared each key before storing
    /// it.
    private static let fullChecks = 100

    /// The certificates whose leaf and key do not belong to their row, and the reasons. Takes some microseconds for
    /// each certificate.
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

    /// The identities from Vaults whose certificate, CAs and key do not belong to their row, and the reasons. A gateway
    /// that finds such a row obtains the identity from its Vault again.
    package static func damagedIdentities(in store: any StateStore, _ sealer: Sealer) throws(StateError) -> [(
        name: String, reason: String
    )] {
        try store.obtainedIdentities().compactMap { identity in
            do throws(SealError) {
                _ = try identity.openKey(sealer)
                return nil
            } catch {
                return (identity.name, "\(error)")
            }
        }
    }
}
