import Issuers
import PKI
import State

/// Finds stored certificates that can't be served: damaged, or parts of them moved there from others or from earlier times.
package enum KeyCheck {
    /// How many keys that are not bound to their leaves are compared with them, which costs a hundred times as much. A few
    /// may have been put back; a whole state of them is an earlier version's, which has checked them before it stored them.
    private static let fullChecks = 100

    /// The certificates whose leaf and key do not belong together at their place, with the reason; some microseconds each.
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
