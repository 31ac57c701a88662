import ConfigModel
import Glibc
import Materials
import PKI
import Synchronization
import SystemPackage
import Vault

/// Obtains and renews the identities of one Vault. All calls of the Vault are made on a thread of the keeper's own, so
/// that a slow Vault delays neither the control side nor other Vaults.
///
/// A keeper that is waiting for its Vault can't carry out changed settings, and the Vault may never answer. So the
/// keeper is stopped, and another keeper takes its place at once. An identity that the stopped keeper's call still
/// obtains is put in force if its declaration has not changed.
final class VaultKeeper: Sendable {
    /// The identities that the keeper obtains, and the settings with which the keeper reaches the Vault.
    struct Work: Sendable, Equatable {
        var settings: ConfigModel.VaultServer
        /// The identities that come from this Vault, by name.
        var identities: [String: VaultIdentityDeclaration]
        /// Relative paths start at this directory.
        var directory: FilePath
        var sealer: Sealer

        static func == (one: Work, other: Work) -> Bool {
            one.identities == other.identities && one.hasSameSession(as: other)
                && one.sealer.key.id == other.sealer.key.id
        }

        /// Whether the Vault's session can be kept when this work is replaced by `other`.
        func hasSameSession(as other: Work) -> Bool {
            settings == other.settings && directory == other.directory
        }
    }

    private enum Message: Sendable {
        case keep(Work)
        case lookNow
        case stop
    }

    private let inbox: Mailbox<Message>
    private let gate: VaultCallGate

    /// Starts the keeper's thread. `jitter` differs between gateways, so that they don't call the Vault at the same
    /// time.
    init(_ name: String, _ work: Work, desk: VaultExchange, log: EventLog, jitter: UInt64) throws(SystemFailure) {
        inbox = try Mailbox()
        gate = VaultCallGate()
        let (inbox, gate) = (inbox, gate)
        _ = keep(work)
        NamedThread("vault") {
            let round = VaultRound(vault: name, desk: desk, gate: gate, log: log, jitter: jitter)
            while true {
                var descriptors = [pollfd(fd: inbox.descriptor, events: Int16(POLLIN), revents: 0)]
                // The thread wakes every second, since another gateway may have stored an identity in the state.
                Poll.wait(for: &descriptors, milliseconds: 1000)
                for message in inbox.drain() {
                    switch message {
                    case .keep(let work):
                        gate.open()
                        round.keep(work)
                    case .lookNow: round.lookNow()
                    case .stop: return
                    }
                }
                round.run(now: GatewayServer.now)
            }
        }.start()
    }

    /// Changes what the keeper has to do.
    ///
    /// - Returns: False if the keeper is waiting for its Vault. Then the keeper does nothing more and must be stopped.
    func keep(_ work: Work) -> Bool {
        guard gate.close() else { return false }
        inbox.post(.keep(work))
        return true
    }

    /// Checks the Vault for changes at once, and repeats failed calls at once.
    func lookNow() { inbox.post(.lookNow) }

    /// Ends the thread, after the call in progress.
    func stop() {
        _ = gate.close()
        inbox.post(.stop)
    }
}

/// Lets a keeper's thread call its Vault. The control side closes the gate before it posts a message. The thread opens
/// the gate when it reads the message. So the thread makes no call while a message waits.
final class VaultCallGate: Sendable {
    private struct State {
        /// How often the gate was closed and not opened again.
        var closures = 0
        var isCalling = false
    }

    private let state = Mutex(State())

    /// Whether no message waits for the thread. If the gate was closed during a call, the call's keeper is being
    /// stopped.
    var isOpen: Bool { state.withLock { $0.closures == 0 } }

    /// Prevents further calls.
    ///
    /// - Returns: Whether no call is in progress.
    func close() -> Bool {
        state.withLock { state in
            state.closures += 1
            return !state.isCalling
        }
    }

    /// Undoes one closure.
    func open() { state.withLock { $0.closures -= 1 } }

    /// Runs `call` if the gate is open.
    ///
    /// - Returns: False if the gate is closed.
    func pass(_ call: () -> Void) -> Bool {
        let mayCall = state.withLock { state in
            state.isCalling = state.closures == 0
            return state.isCalling
        }
        guard mayCall else { return false }
        call()
        state.withLock { $0.isCalling = false }
        return true
    }
}
