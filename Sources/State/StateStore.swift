/// Keeps the state. All of a commit happens or none of it, also when the machine dies meanwhile.
package protocol StateStore: IssuanceJournal {
    /// All that planning needs.
    func snapshot() throws(StateError) -> StateSnapshot

    /// Reads through what is kept, so that damage is found before somebody needs what it has hit. It takes about a second for
    /// each gigabyte.
    ///
    /// Damage on disk can hide behind pages that an open store holds in memory: a store that was just opened finds it.
    /// - Throws: `StateError.unreadable` with the first damage found.
    func check() throws(StateError)

    /// Where the state is now. Cheap.
    func position() throws(StateError) -> StatePosition

    /// Tells what has changed since a revision, as one transaction sees it and at the cost of the change.
    ///
    /// Each thing comes once, as it is now, in the order of dependence: gateway, issuers, certificates, edge certificates,
    /// hosts, challenges, and what was taken out last. Since 0 comes all there is, and nothing that was taken out. The
    /// state can be written meanwhile, but not by `body`, which must not use this store.
    /// - Returns: The place that these changes lead to; nil when they can't be told, as deletions since then are no longer
    ///   kept or the state is another one with an earlier revision: then read since 0.
    func readChanges(since revision: Int, _ body: (StateChange) -> Void) throws(StateError) -> StatePosition?

    /// Carries mutations out in one transaction that raises the revision; what they write bears the new one.
    ///
    /// Throws `StateError.leaseLost` and changes nothing when `holder` does not hold the lease.
    /// - Returns: The new revision.
    @discardableResult
    func commit(_ mutations: [StateMutation], by holder: LeaseHolder, under lease: Lease.Name) throws(StateError) -> Int

    /// Adds events without the lease for applying: for gateways, which only report. Does not raise the revision.
    func record(events: [AuditEvent]) throws(StateError)

    /// Puts the row of a running gateway, and removes those of gateways that have long been dead.
    ///
    /// Neither needs the lease nor raises the revision: nodes are no part of what is served. A report may be lost with
    /// the machine; the next one follows.
    func report(_ node: GatewayNode) throws(StateError)

    /// Removes the row of a gateway that ends.
    func removeNode(_ id: String) throws(StateError)

    /// The gateways that have reported and not ended in order, by machine and process. Some may be dead.
    func nodes() throws(StateError) -> [GatewayNode]

    /// A certificate with its chain and sealed key; nil when there is none of that name.
    func certificate(named name: String) throws(StateError) -> StoredCertificate?

    /// A setting; nil when there is none of that name.
    func setting(_ name: SettingName) throws(StateError) -> [UInt8]?

    /// The secrets that stand in the file, sealed, by their fingerprints.
    func sealedSecrets() throws(StateError) -> [String: [UInt8]]

    /// The generations, newest first.
    func generations() throws(StateError) -> [Generation]

    /// The text of a generation's file, sealed; nil when it is no longer kept, or there is no such generation.
    func sealedText(ofGeneration number: Int) throws(StateError) -> [UInt8]?

    /// The directory that the file's relative paths start from, as of the latest generation; nil before the first.
    func directory() throws(StateError) -> String?

    /// Calls `body` with each certificate, by name, as one transaction sees them. `body` must not use this store.
    func forEachCertificate(_ body: (StoredCertificate) -> Void) throws(StateError)

    /// Calls `body` with each certificate that is kept and not in force. `body` must not use this store.
    func forEachKeptCertificate(_ body: (StoredCertificate) -> Void) throws(StateError)

    /// Takes a lease, or tells who holds it. `isFree` judges the present one.
    func acquireLease(
        _ name: Lease.Name, for holder: LeaseHolder, now: Int64, isFree: @Sendable (Lease) -> Bool
    ) throws(StateError) -> LeaseAttempt

    /// Holds a lease for longer. Throws `StateError.leaseLost` when another has it.
    func renewLease(_ name: Lease.Name, of holder: LeaseHolder, now: Int64) throws(StateError)

    /// Gives a lease back, if `holder` has it.
    func releaseLease(_ name: Lease.Name, of holder: LeaseHolder) throws(StateError)
}

extension StateStore {
    /// The revision of the last commit; 0 before the first.
    package func revision() throws(StateError) -> Int { try position().revision }

    /// Carries mutations out under the lease for applying.
    @discardableResult
    package func commit(_ mutations: [StateMutation], by holder: LeaseHolder) throws(StateError) -> Int {
        try commit(mutations, by: holder, under: .apply)
    }
}

/// What came of asking for a lease.
package enum LeaseAttempt: Sendable, Equatable {
    /// It is ours.
    case acquired
    /// Somebody has it.
    case held(Lease)
}

/// Settings that the state keeps for itself.
package enum SettingName: String, Sendable, CaseIterable {
    /// The master key in hex, where the operator gave none.
    case masterKey = "master_key"
    /// The identity of the key that everything is sealed with.
    case sealingKeyID = "sealing_key_id"
}

/// One change to the state.
package enum StateMutation: Sendable {
    /// Puts an item other than a certificate.
    case putItem(ItemID, owner: StoredItem.Owner, record: [UInt8])
    /// Changes nothing, and lets the whole commit fail with `StateError.changedMeanwhile` unless the item has this record.
    case require(ItemID, record: [UInt8])
    /// Puts a certificate, and forgets what went wrong with it before.
    case putCertificate(StoredCertificate)
    /// Ends the order that a certificate came from, with all challenges that were put for it, forgets what went wrong
    /// before, and gives its lease back, which whoever commits must hold.
    case endOrder(certificate: String)
    /// Notes that a certificate is to be revoked now that another has its place.
    case supersede(SupersededCertificate)
    /// Changes only the sealed key of a certificate, or of one that is kept.
    case resealKey(name: String, sealedKey: [UInt8])
    /// Changes only the sealed keys of an account.
    case resealAccount(CAAccount.ID, sealedKey: [UInt8], sealedNextKey: [UInt8]?)
    /// Changes only the sealed key of an order.
    case resealOrder(certificate: String, sealedKey: [UInt8])
    /// Takes an item out, a certificate too.
    case deleteItem(ItemID)
    /// Notes why a certificate, or one that is kept, is no longer good; nothing when another leaf has taken its place.
    case noteLoss(certificate: String, fingerprint: String, reason: String)
    /// Takes a certificate out, and keeps it apart for when its name comes back. `since` is in seconds since 1970.
    case keepCertificate(name: String, since: Int64)
    /// Puts a certificate that was kept in force again; the whole commit fails with `StateError.changedMeanwhile` when it is
    /// kept no longer.
    case restoreCertificate(name: String)
    /// Takes a certificate out that was kept.
    case purgeCertificate(name: String)
    /// Changes only how a certificate is declared.
    case redeclareCertificate(name: String, record: [UInt8], autoRenew: Bool)
    /// Puts a secret that stands in the file, sealed for its fingerprint.
    case putSecret(fingerprint: String, sealed: [UInt8])
    /// Takes all secrets out but these.
    case keepSecrets(fingerprints: [String])
    /// Puts a challenge of a certificate's order.
    case putChallenge(ACMEChallenge, certificate: String)
    /// Takes a challenge out.
    case deleteChallenge(token: String)
    /// Sets a setting.
    case putSetting(SettingName, [UInt8])
    /// Takes a setting out.
    case deleteSetting(SettingName)
    /// Puts a generation with the sealed text of its file, and makes it the latest.
    case putGeneration(Generation, sealedText: [UInt8])
    /// Changes only the sealed text of a generation.
    case resealText(generation: Int, sealedText: [UInt8])
    /// Ends a generation.
    case closeGeneration(Int, Generation.Outcome, summary: String)
    /// Adds an event.
    case appendEvent(AuditEvent)
    /// Takes out what is older than is to be kept. `now` is in seconds since 1970.
    case prune(Retention, now: Int64)
}

/// Why the state could not be read or written.
package enum StateError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The file is no state, or a damaged one.
    case unreadable(path: String, reason: String)
    /// Reading or writing failed.
    case failed(path: String, reason: String)
    /// It was written by a newer version.
    case tooNew(path: String)
    /// Another process has taken the lease.
    case leaseLost
    /// An item is no longer what a commit rests on.
    case changedMeanwhile(ItemID)
    /// Another process keeps the state locked, and was waited for in vain for so many milliseconds.
    case busy(path: String, waitedMilliseconds: Int)

    /// What happened, for people.
    package var description: String {
        switch self {
        case .unreadable(let path, let reason): "cannot read the state '\(path)': \(reason)"
        case .failed(let path, let reason): "the state '\(path)': \(reason)"
        case .tooNew(let path): "the state '\(path)' was written by a newer version of Aegis"
        case .leaseLost: "another apply has taken the lock"
        case .changedMeanwhile(let item): "\(item.kind.rawValue) '\(item.name)' was changed meanwhile"
        case .busy(let path, let waited):
            "another process keeps the state '\(path)' locked; it was waited for "
                + (waited % 1000 == 0 ? "\(waited / 1000) s" : "\(waited) ms")
        }
    }

    /// What to do about it; nil where the description says so.
    package var hint: String? {
        switch self {
        case .unreadable(let path, _):
            "put the state back from a backup, and remove '\(path)-wal' and '\(path)-shm', which belong to this one"
        case .busy(let path, _): "try again when that process is done; 'fuser \(path)' tells which it is"
        default: nil
        }
    }
}
