/// Stores the state. A commit takes effect as a whole or not at all, even if the machine crashes.
package protocol StateStore: IssuanceJournal, IdentityJournal, AdminRecords, ExpiryAlertStore {
    /// The part of the state that planning needs.
    func snapshot() throws(StateError) -> StateSnapshot

    /// Looks for damage, so that damage is found before the damaged part is needed. Takes about a second for each
    /// gigabyte.
    ///
    /// A store that has been open for a while may miss damage on disk, since it holds pages in memory. A newly opened
    /// store finds such damage.
    ///
    /// - Throws: `StateError.unreadable` with the first damage found.
    func check() throws(StateError)

    /// The current revision and generation. The call is cheap.
    func position() throws(StateError) -> StatePosition

    /// The file that the store was opened with. Another state may take its place at the same path.
    var file: StateFileID? { get }

    /// A number that differs after another connection has committed. This store's own commits do not change it.
    ///
    /// Read this number before the changes: then a commit in between is noticed the next time. Takes a few microseconds
    /// (https://sqlite.org/pragma.html#pragma_data_version).
    func dataVersion() throws(StateError) -> Int

    /// The data version at a moment when no process is writing. Returns nil at once if another connection is writing.
    ///
    /// Every commit that has written to the files before this call has changed this number. `dataVersion` does not
    /// ensure that: a commit may have written to the files but become visible only later.
    func settledDataVersion() throws(StateError) -> Int?

    /// Calls `body` with all changes since a revision, read in one transaction. The cost is proportional to the number
    /// of changes.
    ///
    /// Each item comes once, with its current value, in the order of `ItemKind`. Then come challenges, and deletions
    /// last. With revision 0, `body` gets all items and no deletions. Other processes can write meanwhile; `body` must
    /// not use this store.
    ///
    /// - Returns: The position after these changes. Nil when the changes are not known, because deletions since then
    ///   are no longer kept or an earlier state has replaced the state. Then the caller must read since revision 0.
    func readChanges(since revision: Int, _ body: (StateChange) -> Void) throws(StateError) -> StatePosition?

    /// Commits mutations in one transaction that increments the revision, unless it only remembers an answer. Rows that
    /// the mutations write have the new revision.
    ///
    /// Throws `StateError.leaseLost` and changes nothing when `holder` does not hold the lease.
    ///
    /// - Returns: The revision after the commit.
    @discardableResult
    func commit(_ mutations: [StateMutation], by holder: LeaseHolder, under lease: Lease.Name) throws(StateError) -> Int

    /// Adds events. Needs no lease, since gateways, which hold none, call it. Does not raise the revision.
    func record(events: [AuditEvent]) throws(StateError)

    /// Stores the report of a running gateway, and removes the rows of gateways that died long ago.
    ///
    /// A report needs no lease and does not raise the revision, since gateways do not serve these rows. A crash of the
    /// machine may lose a report; the next one follows soon.
    func report(_ node: GatewayNode) throws(StateError)

    /// Removes the row of a gateway that is ending.
    func removeNode(_ id: String) throws(StateError)

    /// The gateways that have reported and have not ended properly, sorted by machine and process. Some may be dead.
    func nodes() throws(StateError) -> [GatewayNode]

    /// An item of a kind other than `certificate`; nil when there is none.
    func item(_ id: ItemID) throws(StateError) -> StoredItem?

    /// A certificate with its chain and sealed key; nil when none has this name. Certificates that are only kept are
    /// not found.
    func certificate(named name: String) throws(StateError) -> StoredCertificate?

    /// A kept certificate with its chain and sealed key; nil when none has this name.
    func keptCertificate(named name: String) throws(StateError) -> StoredCertificate?

    /// The value of a setting; nil when it is not set.
    func setting(_ name: SettingName) throws(StateError) -> [UInt8]?

    /// The sealed secrets that the file itself contained, by their fingerprints.
    func sealedSecrets() throws(StateError) -> [String: [UInt8]]

    /// The generations, newest first.
    func generations() throws(StateError) -> [Generation]

    /// The sealed text of a generation's file; nil when it is no longer kept, or there is no such generation.
    func sealedText(ofGeneration number: Int) throws(StateError) -> [UInt8]?

    /// The directory that relative paths are relative to, in the latest generation; nil before the first.
    func directory() throws(StateError) -> String?

    /// Calls `body` with each certificate, sorted by name, in one transaction. `body` must not use this store.
    func forEachCertificate(_ body: (StoredCertificate) -> Void) throws(StateError)

    /// Calls `body` with each kept certificate. `body` must not use this store.
    func forEachKeptCertificate(_ body: (StoredCertificate) -> Void) throws(StateError)

    /// Takes a lease that nobody holds, or that `isFree` allows to be taken from its holder. Otherwise returns the
    /// present lease.
    func acquireLease(
        _ name: Lease.Name, for holder: LeaseHolder, now: Int64, isFree: @Sendable (Lease) -> Bool
    ) throws(StateError) -> LeaseAttempt

    /// Extends a lease. Throws `StateError.leaseLost` when another holder has the lease.
    func renewLease(_ name: Lease.Name, of holder: LeaseHolder, now: Int64) throws(StateError)

    /// Releases a lease, if `holder` has it.
    func releaseLease(_ name: Lease.Name, of holder: LeaseHolder) throws(StateError)
}

/// Identifies a file on this machine.
package struct StateFileID: Sendable, Equatable {
    package let device: UInt64
    package let inode: UInt64

    package init(device: UInt64, inode: UInt64) {
        self.device = device
        self.inode = inode
    }
}

extension StateStore {
    /// The revision of the last commit; 0 before the first.
    package func revision() throws(StateError) -> Int { try position().revision }

    /// Commits mutations under the lease for applying.
    @discardableResult
    package func commit(_ mutations: [StateMutation], by holder: LeaseHolder) throws(StateError) -> Int {
        try commit(mutations, by: holder, under: .apply)
    }
}

/// How a try to take a lease ended.
package enum LeaseAttempt: Sendable, Equatable {
    /// `holder` now has the lease.
    case acquired
    /// Another process has the lease.
    case held(Lease)
}

/// Settings of the state itself, which no file declares.
package enum SettingName: String, Sendable, CaseIterable {
    /// The master key in hex, if the operator gave none.
    case masterKey = "master_key"
    /// The ID of the master key that the state is sealed with.
    case sealingKeyID = "sealing_key_id"
}

package enum StateMutation: Sendable {
    /// Adds or replaces an item other than a certificate.
    case putItem(ItemID, owner: StoredItem.Owner, record: [UInt8])
    /// Changes nothing by itself, but makes the whole commit fail with `StateError.changedMeanwhile` unless the item
    /// has this record.
    case require(ItemID, record: [UInt8])
    /// Adds or replaces a certificate, and deletes the recorded failures to obtain it.
    case putCertificate(StoredCertificate)
    /// Deletes the order of a certificate with its challenges, and releases the certificate's lease, which the
    /// committing process must hold.
    case endOrder(certificate: String)
    /// Deletes the packs of an edge certificate from the journal, and releases its lease, which the committing process
    /// must hold.
    case endEdgeOrder(certificate: String)
    /// Adds a replaced certificate to the list of certificates to revoke.
    case supersede(SupersededCertificate)
    /// Replaces only the sealed key of a stored or kept certificate.
    case resealKey(name: String, sealedKey: [UInt8])
    /// Replaces only the sealed keys of an account.
    case resealAccount(CAAccount.ID, sealedKey: [UInt8], sealedNextKey: [UInt8]?)
    /// Replaces only the sealed key of a pending order.
    case resealOrder(certificate: String, sealedKey: [UInt8])
    /// Replaces only the sealed key of an identity from a Vault.
    case resealIdentity(name: String, sealedKey: [UInt8])
    /// Replaces only the sealed key of a request for an identity from a Vault.
    case resealIdentityRequest(name: String, sealedKey: [UInt8])
    /// Deletes an item, which may be a certificate.
    case deleteItem(ItemID)
    /// Records why a stored or kept certificate can't be used any more. Does nothing if the certificate has another
    /// leaf by now.
    case noteLoss(certificate: String, fingerprint: String, reason: String)
    /// Takes a certificate out of force and keeps it for reuse. `since` is the present time, in seconds since 1970.
    case keepCertificate(name: String, since: Int64)
    /// Copies a certificate in force to the kept certificates under another name, before another one takes its place.
    /// `sealedKey` is its key, sealed for that name. `since` is the present time, in seconds since 1970.
    case keepReplaced(name: String, as: String, sealedKey: [UInt8], since: Int64)
    /// Puts a kept certificate in force again. The whole commit fails with `StateError.changedMeanwhile` when it is no
    /// longer kept.
    case restoreCertificate(name: String)
    /// Deletes a kept certificate.
    case purgeCertificate(name: String)
    /// Replaces only the declaration of a certificate, with its owner and its setting for automatic renewal.
    case redeclareCertificate(name: String, owner: StoredItem.Owner, record: [UInt8], autoRenew: Bool)
    /// Adds a secret that the file itself contains, sealed for its fingerprint.
    case putSecret(fingerprint: String, sealed: [UInt8])
    /// Deletes all secrets except those with these fingerprints.
    case keepSecrets(fingerprints: [String])
    /// Adds a challenge of a certificate's order.
    case putChallenge(ACMEChallenge, certificate: String)
    case deleteChallenge(token: String)
    case putSetting(SettingName, [UInt8])
    case deleteSetting(SettingName)
    /// Adds a generation with the sealed text of its file. This generation becomes the latest.
    case putGeneration(Generation, sealedText: [UInt8])
    /// Replaces only the sealed text of a generation.
    case resealText(generation: Int, sealedText: [UInt8])
    /// Records how the apply of a generation ended.
    case closeGeneration(Int, Generation.Outcome, summary: String)
    case appendEvent(AuditEvent)
    /// Makes a gateway renew the certificate soon, as if its CA advised that. Does nothing if the certificate has
    /// another leaf by now. The next try is due at `now`, in seconds since 1970, even during a pause after a failed try.
    /// The CA is not asked for advice within the next hour.
    ///
    /// Without a fingerprint, for a certificate that was never issued, there is no advice: only the next try is due.
    case requestRenewal(certificate: String, fingerprint: String?, now: Int64)
    /// Remembers the answer to the request that causes this commit. Must come after the mutations that change the item.
    case rememberAnswer(RememberedAnswer)
    /// Deletes history beyond `Retention`. `now` is in seconds since 1970.
    case prune(Retention, now: Int64)
}

/// Why the state could not be read or written.
package enum StateError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The file is not a state, or is damaged.
    case unreadable(path: String, reason: String)
    /// An I/O operation failed.
    case failed(path: String, reason: String)
    /// The path leads to a directory, or to a pipe or another file that is not regular.
    case notFile(path: String, isDirectory: Bool)
    /// A newer version of the program wrote the state.
    case tooNew(path: String)
    /// The committing process no longer has the lease.
    case leaseLost
    /// An item was changed by another process since the commit's values were computed.
    case changedMeanwhile(ItemID)
    /// Another process has locked the state for longer than this process waited.
    case busy(path: String, waitedMilliseconds: Int)

    /// The error as one line for an operator.
    package var description: String {
        switch self {
        case .unreadable(let path, let reason): "cannot read the state '\(path)': \(reason)"
        case .failed(let path, let reason): "the state '\(path)': \(reason)"
        case .notFile(let path, let isDirectory):
            "the state can't be '\(path)': it is \(isDirectory ? "a directory" : "no regular file")"
        case .tooNew(let path): "the state '\(path)' was written by a newer version of Aegis"
        case .leaseLost: "another process has the lock now"
        case .changedMeanwhile(let item): "\(item.kind.rawValue) '\(item.name)' was changed meanwhile"
        case .busy(let path, let waited):
            "another process keeps the state '\(path)' locked; it was waited for "
                + (waited % 1000 == 0 ? "\(waited / 1000) s" : "\(waited) ms")
        }
    }

    /// What the operator can do about the error; nil when the description is enough.
    package var hint: String? {
        switch self {
        case .unreadable(let path, _):
            "put the state back from a backup, and remove '\(path)-wal' and '\(path)-shm', which belong to this one"
        case .notFile(let path, true):
            "write the name of a file in it, such as '\(path)\(path.hasSuffix("/") ? "" : "/")state.db'"
        case .busy(let path, _): "try again when that process is done; 'fuser \(path)' shows its number"
        default: nil
        }
    }
}
