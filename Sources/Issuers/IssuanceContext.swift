import PKI
import State

/// What it takes to have others issue certificates.
package struct IssuanceContext: Sendable {
    /// The state, with its journal.
    package let store: any StateStore
    /// Who holds, or will hold, the leases: this process.
    package let holder: LeaseHolder
    /// Seals and opens keys.
    package let sealer: Sealer
    /// Reads what the file only refers to.
    package let secrets: SecretReader
    /// Gives seconds since 1970.
    package let now: @Sendable () -> Int64

    /// What a caller has at hand.
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
