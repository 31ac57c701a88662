import Materials
import PKI
import State
import Synchronization

/// Exchanges values between the control side and the threads of the `VaultKeeper`s.
final class VaultDesk: Sendable {
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
        var deliveries: [Delivery] = []
    }

    private let content = Mutex(Content())
    private let notify: @Sendable () -> Void

    /// `notify` is called after a delivery, to wake the control side.
    init(notify: @escaping @Sendable () -> Void) { self.notify = notify }

    // MARK: The control side

    /// Lends the state's store to the keepers; nil while the state is damaged or can't be read. A keeper must not keep
    /// the store longer than for one call.
    func lend(_ store: (any StateStore)?) { content.withLock { $0.store = store } }

    /// Sets the client certificates for logins to Vaults, by the name of their identity.
    func show(_ credentials: [String: TLSCredential]) { content.withLock { $0.credentials = credentials } }

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

    func deliver(_ delivery: Delivery) {
        content.withLock { $0.deliveries.append(delivery) }
        notify()
    }
}
