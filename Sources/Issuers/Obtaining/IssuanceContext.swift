import PKI
import State

package struct IssuanceContext: Sendable {
    /// The state. It includes the journal, the record of steps by which certificates are obtained.
    package let store: any StateStore
    /// This process as a holder of leases.
    package let holder: LeaseHolder
    package let sealer: Sealer
    /// Reads the secrets that aegis.yaml refers to.
    package let secrets: SecretReader
    package let now: @Sendable () -> Int64
    /// Limits the repetitions of a call to Cloudflare: the time for its waits and failed tries together, before the
    /// last try.
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
