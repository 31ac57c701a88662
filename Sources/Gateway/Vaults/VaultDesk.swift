import Materials
import PKI
import State
import Synchronization

/// What the control side and the threads that ask Vaults give each other.
final class VaultDesk: Sendable {
    /// What was obtained for an identity, or the reason why nothing was.
    struct Delivery: Sendable {
        let name: String
        /// The digest of the declaration that was carried out.
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

    /// Lends the state. Nil while it is damaged or can't be read. Threads keep it no longer than a call.
    func lend(_ store: (any StateStore)?) { content.withLock { $0.store = store } }

    /// The certificates to show in logins, by the name of their identity.
    func show(_ credentials: [String: TLSCredential]) { content.withLock { $0.credentials = credentials } }

    func takeDeliveries() -> [Delivery] {
        content.withLock { content in
            defer { content.deliveries = [] }
            return content.deliveries
        }
    }

    // MARK: Threads

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
