import ConfigModel
import Glibc
import Materials
import PKI
import SystemPackage
import Vault

/// Obtains and renews the identities of one Vault. All networking with the Vault is done on a thread of its own, so that
/// a slow Vault delays neither the control side nor other Vaults.
final class VaultKeeper: Sendable {
    /// What is to be kept. A change of it is taken up when the call in progress has ended.
    struct Work: Sendable, Equatable {
        /// The Vault's settings.
        var settings: ConfigModel.VaultServer
        /// The identities that come from this Vault, by name.
        var identities: [String: VaultIdentityDeclaration]
        /// The directory that relative paths begin at.
        var directory: FilePath
        var sealer: Sealer

        static func == (one: Work, other: Work) -> Bool {
            one.identities == other.identities && one.hasSameSession(as: other)
                && one.sealer.key.id == other.sealer.key.id
        }

        /// Whether nothing has changed that a session is made of.
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

    /// Starts the thread.
    init(_ name: String, _ work: Work, desk: VaultDesk, log: EventLog, jitter: UInt64) throws(SystemFailure) {
        inbox = try Mailbox()
        let inbox = inbox
        inbox.post(.keep(work))
        NamedThread("vault") {
            let round = VaultRound(vault: name, desk: desk, log: log, jitter: jitter)
            while true {
                var descriptors = [pollfd(fd: inbox.descriptor, events: Int16(POLLIN), revents: 0)]
                // Each second the state may have an identity that another gateway has obtained.
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

    /// Looks for changes at once, and tries again at once what has failed.
    func lookNow() { inbox.post(.lookNow) }

    /// Ends the thread as soon as its call has ended.
    func stop() { inbox.post(.stop) }
}
