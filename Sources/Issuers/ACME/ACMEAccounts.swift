import ACME
import ConfigModel
import PKI
import State
import Synchronization

/// Aegis's accounts at ACME CAs. An account is made when it is first needed. The state keeps the account and its key.
/// Threads may share this object.
final class ACMEAccounts: Sendable {
    private let store: any StateStore
    private let sealer: Sealer
    private let secrets: SecretReader
    private let now: @Sendable () -> Int64
    private let slots = Mutex<[CAAccount.ID: Slot]>([:])

    /// The client of one account, behind a lock. The lock is held while a thread opens the account. So if the CA does
    /// not answer, only threads that need the same account wait.
    private final class Slot: Sendable {
        let conversation = Mutex<Conversation?>(nil)
        private let failures = Mutex<(count: Int, last: (any Error)?)>((0, nil))

        var failureCount: Int { failures.withLock { $0.count } }

        /// The latest failure, if there were more than `count` failures. Otherwise nil.
        func failure(since count: Int) -> (any Error)? { failures.withLock { $0.count > count ? $0.last : nil } }

        func note(_ error: any Error) { failures.withLock { $0 = ($0.count + 1, error) } }
    }

    /// A client that is usable as long as the issuer's settings and the account's key do not change. Another process
    /// may change the key.
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

    /// Returns the client for an issuer's account. If there is no account, makes one at the CA.
    ///
    /// If several threads need a new account, one thread makes it and the others wait. If that thread fails, the
    /// waiting threads throw the same error and do not try again.
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

    /// Makes the account again with the same key. The caller uses this when the CA no longer knows the account.
    func renew(_ client: ACMEClient, _ settings: ACMEIssuer) throws {
        let id = CAAccount.ID(settings)
        guard var account = try store.account(id) else { return }
        try register(client, &account, settings)
    }

    /// Replaces an account's key. If the process crashes before the end, the state contains both keys. The next process
    /// that opens the account asks the CA which key is valid.
    func changeKey(_ settings: ACMEIssuer) throws {
        let id = CAAccount.ID(settings)
        try slot(of: id).conversation.withLock { conversation in
            guard try store.account(id) != nil else { throw IssuanceFailure("there is no account at \(id.directory)") }
            // `open` first completes a key change that an earlier process did not finish.
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
            edge: try ACMEConnection(settings, secrets: secrets),
            wait: StepGate.interrupting(WaitNote.beforeRepeating(to: "the CA")), now: now)
    }

    /// Whether the CA has an account with this key.
    private func hasAccount(key: [UInt8], _ id: CAAccount.ID, _ settings: ACMEIssuer) throws -> Bool {
        do {
            _ = try client(key: key, url: nil, id, settings).account(contact: [], onlyExisting: true)
            return true
        } catch let error as ACMEError where error.problem?.kind == "accountDoesNotExist" {
            return false
        }
    }

    /// Adds an account to the state but not at the CA, so that the key is stored before the CA learns of it.
    private func make(_ id: CAAccount.ID) throws -> CAAccount {
        let key = try PrivateKey.generate(.ecdsaP256)
        let sealed = try sealer.seal(key.der(), purpose: SealPurpose.accountKey, row: id.row)
        return try store.addAccount(CAAccount(id: id, contact: "", sealedKey: sealed, createdAt: now()))
    }

    private func register(_ client: ACMEClient, _ account: inout CAAccount, _ settings: ACMEIssuer) throws {
        let external = try settings.externalAccount.map { external in
            try ACMEExternalAccount(keyID: external.keyID, encodedKey: secrets.read(external.hmacKey))
        }
        account = try StepGate.step("a new account") {
            var account = account
            account.url = try client.account(contact: settings.contact, externalAccount: external).text
            account.contact = settings.email ?? ""
            try store.updateAccount(account)
            return account
        }
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
    /// The operator's e-mail address as a `mailto` URL. Empty if the settings have none.
    fileprivate var contact: [String] { email.map { ["mailto:\($0)"] } ?? [] }
}

extension CAAccount.ID {
    init(_ settings: ACMEIssuer) {
        self.init(directory: settings.directory.text, externalKeyID: settings.externalAccount?.keyID ?? "")
    }
}
