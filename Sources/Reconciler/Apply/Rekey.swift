import Issuers
import Materials
import PKI
import State

/// Seals everything in the state with another master key.
package struct Rekey {
    private let store: any StateStore
    private let holder: LeaseHolder
    private let sealer: Sealer

    /// The caller must hold the lease for applying. `oldKey` and `newKey` may be the same, as when an operator repeats
    /// the command.
    package init(store: any StateStore, holder: LeaseHolder, oldKey: MasterKey, newKey: MasterKey) {
        self.store = store
        self.holder = holder
        sealer = Sealer(key: newKey, olderKeys: [oldKey])
    }

    /// Reseals all keys, secrets and texts in one transaction, and binds the keys of certificates to their leaves. If
    /// the state itself keeps a master key, removes that key.
    ///
    /// `now` is in seconds since 1970.
    ///
    /// - Returns: How many values were resealed. Values that the new key has already sealed are left alone.
    ///
    /// - Throws: `RekeyError` with the first value that can't be opened. Then nothing is changed.
    package func run(now: Int64) throws -> Int {
        var mutations: [StateMutation] = []
        var failure: RekeyError?
        let add = { (certificate: StoredCertificate) in
            guard failure == nil, !isDone(certificate.sealedKey) || !certificate.isKeyBoundToLeaf else { return }
            do {
                mutations.append(.resealKey(name: certificate.name, sealedKey: try reseal(certificate)))
            } catch {
                failure = RekeyError(description: "certificate '\(certificate.name)': \(error)")
            }
        }
        try store.forEachCertificate(add)
        try store.forEachKeptCertificate(add)
        if let failure { throw failure }
        for account in try store.accounts() where !isDone(account.sealedKey) {
            let subject = "the account at \(account.id.directory)"
            let keys = try [account.sealedKey, account.sealedNextKey].map { key in
                try key.map { try reseal($0, SealPurpose.accountKey, account.id.row, subject) }
            }
            mutations.append(
                .resealAccount(account.id, sealedKey: keys[0] ?? account.sealedKey, sealedNextKey: keys[1]))
        }
        for (fingerprint, secret) in try store.sealedSecrets() where !isDone(secret) {
            let sealed = try reseal(secret, SealPurpose.issuerSecret, fingerprint, "a secret of an issuer")
            mutations.append(.putSecret(fingerprint: fingerprint, sealed: sealed))
        }
        for order in try store.pendingOrders() where !isDone(order.sealedKey) {
            let name = order.certificate
            let sealed = try reseal(order.sealedKey, SealPurpose.orderKey, name, "the order of certificate '\(name)'")
            mutations.append(.resealOrder(certificate: name, sealedKey: sealed))
        }
        for identity in try store.obtainedIdentities() where !isDone(identity.sealedKey) {
            let sealed = try naming("identity '\(identity.name)'") { try identity.resealedKey(sealer) }
            mutations.append(.resealIdentity(name: identity.name, sealedKey: sealed))
        }
        for request in try store.identityRequests() where !isDone(request.sealedKey) {
            let (name, purpose) = (request.name, SealPurpose.identityRequestKey)
            let sealed = try reseal(request.sealedKey, purpose, name, "the request for identity '\(name)'")
            mutations.append(.resealIdentityRequest(name: name, sealedKey: sealed))
        }
        for number in try store.generations().map(\.number) {
            guard let text = try store.sealedText(ofGeneration: number), !isDone(text) else { continue }
            let sealed = try reseal(text, SealPurpose.generation, "\(number)", "generation \(number)")
            mutations.append(.resealText(generation: number, sealedText: sealed))
        }
        let count = mutations.count
        mutations.append(.putSetting(.sealingKeyID, Array(sealer.key.id.utf8)))
        mutations.append(.deleteSetting(.masterKey))
        let actor = holder.actor
        mutations.append(
            .appendEvent(AuditEvent(at: now, actor: actor, action: "rekey", item: ItemID(.gateway, "gateway"))))
        try store.commit(mutations, by: holder)
        return count
    }

    private func isDone(_ sealed: [UInt8]) -> Bool { (try? Sealer.keyID(of: sealed)) == sealer.key.id }

    private func reseal(_ certificate: StoredCertificate) throws -> [UInt8] {
        let key = try certificate.openKey(sealer)
        return try sealer.sealKey(
            key, ofCertificate: certificate.name, fingerprint: certificate.facts.fingerprint)
    }

    private func reseal(_ sealed: [UInt8], _ purpose: String, _ row: String, _ subject: String) throws -> [UInt8] {
        try naming(subject) {
            try sealer.seal(sealer.open(sealed, purpose: purpose, row: row), purpose: purpose, row: row)
        }
    }

    private func naming(_ subject: String, _ reseal: () throws -> [UInt8]) throws -> [UInt8] {
        do {
            return try reseal()
        } catch {
            throw RekeyError(description: "\(subject): \(error)")
        }
    }
}

/// A value that could not be resealed.
package struct RekeyError: Error, CustomStringConvertible {
    /// The item and the reason.
    package let description: String
}
