import Issuers
import PKI
import State

/// Finds stored certificates that can't be served: damaged, or parts of them moved there from others or from earlier times.
public enum KeyCheck {
    /// The certificates whose leaf and key do not belong together at their place, with the reason; some microseconds each.
    public static func damaged(in store: any StateStore, _ sealer: Sealer) throws(StateError) -> [(
        name: String, reason: String
    )] {
        var damaged: [(name: String, reason: String)] = []
        try store.forEachCertificate { certificate in
            do {
                _ = try certificate.openKey(sealer)
            } catch {
                damaged.append((certificate.name, "\(error)"))
            }
        }
        return damaged
    }
}
