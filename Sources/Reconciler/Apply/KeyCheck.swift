import PKI
import State

/// Finds private keys that do not open: damaged, or moved to another certificate's row.
public enum KeyCheck {
    /// The certificates whose keys a sealer can't open at their place, with the reason; some microseconds each.
    public static func damaged(in store: any StateStore, _ sealer: Sealer) throws(StateError) -> [(
        name: String, reason: String
    )] {
        var damaged: [(name: String, reason: String)] = []
        for (name, sealedKey) in try store.sealedKeys() {
            do throws(SealError) {
                _ = try sealer.open(sealedKey, purpose: SealPurpose.certificateKey, row: name)
            } catch {
                damaged.append((name, "\(error)"))
            }
        }
        return damaged
    }
}
