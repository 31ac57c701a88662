import PKI
import State

package struct IssuanceContext: Sendable {
    /// The state, which includes the journal.
    package let store: any StateStore
    /// This process as a holder of leases.
    package let holder: LeaseHolder
    package let sealer: Sealer
    /// Reads the secrets that aegis.yaml refers to.
    package let secrets: SecretReader
    package let now: @Sendable () -> Int64
    /// How long a call to Cloudflare may wait in total before it is repeated.
    package let patience: Duration

    package init(
        store: any StateStore, holder: LeaseHolder, sealer: Sealer, secrets: SecretReader,
        now: @escaping @Sendable () -> Int64, patience: Duration = .seconds(60)
    ) {
        self.store = store
        self.holder = holder
        self.sealer = sealer
        self.secrets = secrets
        self.now = now
        self.patience = patience
    }
}
