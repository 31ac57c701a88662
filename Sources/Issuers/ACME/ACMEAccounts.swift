import ACME
import ConfigModel
import Glibc
import PKI
import State
import Synchronization

/// Our accounts at ACME CAs: made when they are first needed, and kept with their keys in the state. Threads may share it.
final class ACMEAccounts: Sendable {
    private let store: any StateStore
    private let sealer: Sealer
    private let secrets: SecretReader
    private let now: @Sendable () -> Int64
    /// One place for each account.
    private let slots = Mutex<[CAAccount.ID: Slot]>([:])

    /// Where an account's conversation is, with its nonces and connections. It has a lock of its own, since whoever opens it
    /// waits for the CA: one that does not answer holds up nobody who asks another.
    private final class Slot: Sendable {
        let conversation = Mutex<Conversation?>(nil)
        private let failures = Mutex<(count: Int, last: (any Error)?)>((0, nil))

        var failureCount: Int { failures.withLock { $0.count } }

        /// The last failure, if there was one since there were `count`.
        func failure(since count: Int) -> (any Error)? { failures.withLock { $0.count > count ? $0.last : nil } }

        func note(_ error: any Error) { failures.withLock { $0 = ($0.count + 1, error) } }
    }

    /// Good for as long as issuer and key stay the same; another process may change the key.
    private struct Conversation {
        let settings: ACMEIssuer
        let sealedKey: [UInt8]
        let client: ACMEClient
    }

    init(store: any StateStore, sealer: Sealer, secrets: SecretReader, now: @escaping @Sendable () -> Int64) {
        self.store = store
        self.sealer = sealer
        self.secrets = secrets
        self.now = now
    }

    /// The conversation of an issuer's account, which there is at the CA.
    ///
    /// Of several threads that begin with an account the first makes it; when it can't, that goes for those who have waited.
    func client(for settings: ACMEIssuer) throws -> ACMEClient {
        let id = CAAccount.ID(settings)
        let slot = slot(of: id)
        let failures = slot.failureCount
        return try slot.conversation.withLock { conversation in
            let sealedKey = try store.account(id)?.sealedKey
            if let known = conversation, known.settings == settings, known.sealedKey == sealedKey {
                return known.client
            }
            if let failure = slot.failure(since: failures) { throw failure }
            do {
                let (client, account) = try open(id, settings)
                conversation = Conversation(settings: settings, sealedKey: account.sealedKey, client: client)
                return client
            } catch {
                slot.note(error)
                throw error
            }
        }
    }

    private func slot(of id: CAAccount.ID) -> Slot {
        slots.withLock { slots in
            if let slot = slots[id] { return slot }
            let slot = Slot()
            slots[id] = slot
            return slot
        }
    }

    /// Makes the account again, with the same key: the CA says that it has none.
    func renew(_ client: ACMEClient, _ settings: ACMEIssuer) throws {
        let id = CAAccount.ID(settings)
        guard var account = try store.account(id) else { return }
        try register(client, &account, settings)
    }

    /// Gives an account another key. A crash leaves both keys in the state; whoever comes next finds which the CA has.
    func changeKey(_ settings: ACMEIssuer) throws {
        let id = CAAccount.ID(settings)
        try slot(of: id).conversation.withLock { conversation in
            guard try store.account(id) != nil else { throw IssuanceFailure("there is no account at \(id.directory)") }
            // Made anew, so that a change that was begun is ended first.
            let (client, found) = try open(id, settings)
            var account = found
            let key = try PrivateKey.generate(.ecdsaP256)
            let sealed = try sealer.seal(key.der(), purpose: SealPurpose.accountKey, row: id.row)
            account.sealedNextKey = sealed
            try store.updateAccount(account)
            do {
                try client.changeKey(to: key)
            } catch let error as ACMEError where error.problem?.kind == "accountDoesNotExist" {
                try register(client, &account, settings)
                try client.changeKey(to: key)
            }
            account.sealedKey = sealed
            account.sealedNextKey = nil
            try store.updateAccount(account)
            conversation = Conversation(settings: settings, sealedKey: sealed, client: client)
        }
    }

    private func open(_ id: CAAccount.ID, _ settings: ACMEIssuer) throws -> (ACMEClient, CAAccount) {
        var account = try store.account(id) ?? make(id)
        if let next = account.sealedNextKey {
            if try hasAccount(key: next, id, settings) { account.sealedKey = next }
            account.sealedNextKey = nil
            try store.updateAccount(account)
        }
        let client = try client(key: account.sealedKey, url: account.url, id, settings)
        if account.url == nil {
            try register(client, &account, settings)
        } else if account.contact != settings.email ?? "" {
            try changeContact(client, &account, settings)
        }
        return (client, account)
    }

    private func client(
        key sealed: [UInt8], url: String?, _ id: CAAccount.ID, _ settings: ACMEIssuer
    ) throws -> ACMEClient {
        let der = try sealer.open(sealed, purpose: SealPurpose.accountKey, row: id.row)
        return ACMEClient(
            directory: try ACMEURL(id.directory, of: "directory"), key: try PrivateKey(der: der),
            account: try url.map { (text) throws(ACMEError) in try ACMEURL(text, of: "account") },
            edge: try ACMEConnection(settings, secrets: secrets), wait: Pause.wait, now: now)
    }

    /// Whether the CA has an account of this key.
    private func hasAccount(key: [UInt8], _ id: CAAccount.ID, _ settings: ACMEIssuer) throws -> Bool {
        do {
            _ = try client(key: key, url: nil, id, settings).account(contact: [], onlyExisting: true)
            return true
        } catch let error as ACMEError where error.problem?.kind == "accountDoesNotExist" {
            return false
        }
    }

    /// A new account, whose key is in the state before the CA sees it.
    private func make(_ id: CAAccount.ID) throws -> CAAccount {
        let key = try PrivateKey.generate(.ecdsaP256)
        let sealed = try sealer.seal(key.der(), purpose: SealPurpose.accountKey, row: id.row)
        return try store.addAccount(CAAccount(id: id, contact: "", sealedKey: sealed, createdAt: now()))
    }

    private func register(_ client: ACMEClient, _ account: inout CAAccount, _ settings: ACMEIssuer) throws {
        let external = try settings.externalAccount.map { external in
            try ACMEExternalAccount(keyID: external.keyID, encodedKey: secrets.read(external.hmacKey))
        }
        account.url = try client.account(contact: settings.contact, externalAccount: external).text
        account.contact = settings.email ?? ""
        try store.updateAccount(account)
    }

    private func changeContact(_ client: ACMEClient, _ account: inout CAAccount, _ settings: ACMEIssuer) throws {
        do {
            try client.updateContact(settings.contact)
        } catch let error as ACMEError where error.problem?.kind == "accountDoesNotExist" {
            return try register(client, &account, settings)
        }
        account.contact = settings.email ?? ""
        try store.updateAccount(account)
    }
}

extension ACMEIssuer {
    /// Whom the CA may write to, as URLs.
    fileprivate var contact: [String] { email.map { ["mailto:\($0)"] } ?? [] }
}

extension CAAccount.ID {
    /// The account that an issuer uses.
    init(_ settings: ACMEIssuer) {
        self.init(directory: settings.directory.text, externalKeyID: settings.externalAccount?.keyID ?? "")
    }
}

/// Waiting.
enum Pause {
    /// Blocks this thread.
    @Sendable static func wait(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        var wanted = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
        var left = timespec()
        // A signal ends it early.
        while unsafe nanosleep(&wanted, &left) != 0, errno == EINTR { wanted = left }
    }
}
