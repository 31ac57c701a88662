import PKI
import State

/// What having certificates from others takes.
public struct IssuanceTools: Sendable {
    /// The state, with its journal.
    public let store: any StateStore
    /// Who holds, or will hold, the leases: this process.
    public let holder: LeaseHolder
    /// Seals and opens keys.
    public let sealer: Sealer
    /// Reads what the file only refers to.
    public let secrets: SecretReader
    /// Gives seconds since 1970.
    public let now: @Sendable () -> Int64

    /// Tools.
    public init(
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
