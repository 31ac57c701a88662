import ConfigModel
import Glibc
import Materials
import PKI
import SystemPackage
import Vault

/// Obtains and renews the identities of one Vault. All calls of the Vault are made on a thread of the keeper's own, so
/// that a slow Vault delays neither the control side nor other Vaults.
final class VaultKeeper: Sendable {
    /// What the keeper has to do. A change takes effect after the call in progress.
    struct Work: Sendable, Equatable {
        /// The Vault's settings.
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

    /// Starts the keeper's thread.
    init(_ name: String, _ work: Work, desk: VaultDesk, log: EventLog, jitter: UInt64) throws(SystemFailure) {
        inbox = try Mailbox()
        let inbox = inbox
        inbox.post(.keep(work))
        NamedThread("vault") {
            let round = VaultRound(vault: name, desk: desk, log: log, jitter: jitter)
            while true {
                var descriptors = [pollfd(fd: inbox.descriptor, events: Int16(POLLIN), revents: 0)]
                // The thread wakes every second, since another gateway may have stored an identity in the state.
                Poll.wait(for: &descriptors, milliseconds: 1000)
                for message in inbox.drain() {
                    switch message {
                    case .keep(let work): round.keep(work)
                    case .lookNow: round.lookNow()
                    case .stop: return
                    }
                }
                round.run(now: GatewayServer.now)
            }
        }.start()
    }

    func keep(_ work: Work) { inbox.post(.keep(work)) }

    /// Checks the Vault for changes at once, and repeats failed calls at once.
    func lookNow() { inbox.post(.lookNow) }

    /// Ends the thread after the call in progress.
    func stop() { inbox.post(.stop) }
}
