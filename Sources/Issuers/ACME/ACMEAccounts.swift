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
    /// One conversation for each account, with its nonces and connections, for as long as the issuer stays the same.
    private let conversations = Mutex<[CAAccount.ID: (settings: ACMEIssuer, client: ACMEClient)]>([:])

    init(store: any StateStore, sealer: Sealer, secrets: SecretReader, now: @escaping @Sendable () -> Int64) {
        self.store = store
        self.sealer = sealer
        self.secrets = secrets
        self.now = now
    }

    /// The conversation of an issuer's account, which there is at the CA.
    ///
    /// One thread at a time: of several that begin, the first makes the account.
    func client(for settings: ACMEIssuer) throws -> ACMEClient {
        try conversations.withLock { conversations in
            let id = CAAccount.ID(settings)
            if let known = conversations[id], known.settings == settings { return known.client }
            let client = try open(id, settings)
            conversations[id] = (settings, client)
            return client
        }
    }

    /// Makes the account again, with the same key: the CA says that it has none.
    func renew(_ client: ACMEClient, _ settings: ACMEIssuer) throws {
        let id = CAAccount.ID(settings)
        guard var account = try store.account(id) else { return }
        try register(client, &account, settings)
    }

    private func open(_ id: CAAccount.ID, _ settings: ACMEIssuer) throws -> ACMEClient {
        var account = try store.account(id) ?? make(id)
        let der = try sealer.open(account.sealedKey, purpose: SealPurpose.accountKey, row: id.row)
        let client = ACMEClient(
            directory: try ACMEURL(id.directory, of: "directory"), key: try PrivateKey(der: der),
            account: try account.url.map { (text) throws(ACMEError) in try ACMEURL(text, of: "account") },
            edge: try ACMEConnection(settings, secrets: secrets), wait: Pause.wait, now: now)
        if account.url == nil || account.contact != settings.email ?? "" {
            try register(client, &account, settings)
        }
        return client
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
        let contact = settings.email.map { ["mailto:\($0)"] } ?? []
        account.url = try client.account(contact: contact, externalAccount: external).url.text
        account.contact = settings.email ?? ""
        try store.updateAccount(account)
    }
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
