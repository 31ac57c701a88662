import Issuers
import PKI
import State

/// Finds stored certificates that can't be served: rows that are damaged, or partly replaced by other or older rows.
package enum KeyCheck {
    /// How many keys are compared with their leaves when no seal binds them, which costs a hundred times as much. A few
    /// such rows may have been moved. If all are such, an earlier version wrote the state, and it checked them itself.
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
