import Issuers
import Materials
import PKI
import State
import Synchronization

/// Exchanges values between the control side and the threads of the `VaultKeeper`s.
final class VaultExchange: Sendable {
    /// An identity that a keeper has obtained, or why it could not obtain one.
    struct Delivery: Sendable {
        let name: String
        /// The digest of the declaration for which the keeper asked the Vault.
        let declaration: [UInt8]
        let result: Result<Identity, IdentityFault>
    }

    private struct Content {
        var store: (any StateStore)?
        var credentials: [String: TLSCredential] = [:]
        /// The digests of the declarations in force, by the identity's name.
        var wanted: [String: [UInt8]] = [:]
        var deliveries: [Delivery] = []
    }

    /// A lease that threads of this process hold together.
    private struct SharedLease {
        let keeper: LeaseKeeper
        let store: ObjectIdentifier
        var users = 1
    }

    private let content = Mutex(Content())
    private let leases = Mutex<[String: SharedLease]>([:])
    private let notify: @Sendable () -> Void

    /// `notify` is called after a delivery, to wake the control side.
    init(notify: @escaping @Sendable () -> Void) { self.notify = notify }

    // MARK: The control side

    /// Lends the state's store to the keepers; nil while the state is damaged or can't be read. A keeper must not keep
    /// the store longer than for one call.
    func lend(_ store: (any StateStore)?) { content.withLock { $0.store = store } }

    /// Sets the client certificates for logins to Vaults, by the name of their identity.
    func show(_ credentials: [String: TLSCredential]) { content.withLock { $0.credentials = credentials } }

    /// Sets the digests of the declarations in force, by the identity's name.
    func want(_ declarations: [String: [UInt8]]) { content.withLock { $0.wanted = declarations } }

    func takeDeliveries() -> [Delivery] {
        content.withLock { content in
            defer { content.deliveries = [] }
            return content.deliveries
        }
    }

    // MARK: Keepers' threads

    var store: (any StateStore)? { content.withLock { $0.store } }

    func credential(of identity: String) throws(IdentityFault) -> TLSCredential {
        guard let credential = content.withLock({ $0.credentials[identity] }) else {
            throw IdentityFault("the identity '\(identity)' can't be used yet")
        }
        return credential
    }

    /// Whether `declaration` is still the digest of the identity's declaration. A keeper's call may end after the
    /// declaration has changed.
    func wants(_ name: String, _ declaration: [UInt8]) -> Bool {
        content.withLock { $0.wanted[name] == declaration }
    }

    /// Runs `body` while this process holds the lease of an identity. If a keeper that is being stopped still holds the
    /// lease, its successor shares it, since the store grants a lease to a process.
    ///
    /// - Throws: `LeaseKeeper.Held` if another process holds it, `StateError`, or what `body` throws.
    func holdingLease(of name: String, in store: any StateStore, _ body: () throws -> Void) throws {
        try leases.withLock { leases in
            if let lease = leases[name], lease.store == ObjectIdentifier(store) {
                leases[name]?.users += 1
            } else {
                leases[name] = SharedLease(
                    keeper: try LeaseKeeper(.identity(name), in: store), store: ObjectIdentifier(store))
            }
        }
        defer {
            leases.withLock { leases in
                guard let lease = leases[name] else { return }
                leases[name]?.users -= 1
                guard lease.users == 1 else { return }
                lease.keeper.release()
                leases[name] = nil
            }
        }
        try body()
    }

    func deliver(_ delivery: Delivery) {
        content.withLock { $0.deliveries.append(delivery) }
        notify()
    }
}
