import PKI
import State

/// The objects that every source of certificates needs.
package struct IssuanceContext: Sendable {
    /// The state with its journal.
    package let store: any StateStore
    /// This process, as the holder of leases.
    package let holder: LeaseHolder
    package let sealer: Sealer
    /// Reads the secrets that the file refers to.
    package let secrets: SecretReader
    /// Returns seconds since 1970.
    package let now: @Sendable () -> Int64

    package init(
        store: any StateStore, holder: LeaseHolder, sealer: Sealer, secrets: SecretReader,
        now: @escaping @Sendable () -> Int64
    ) {
        self.store = store
        self.holder = holder
        self.sealer = sealer
        self.secrets = secrets
        self.now = now
    }
}
