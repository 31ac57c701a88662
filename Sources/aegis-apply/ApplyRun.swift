import ArgumentParser
import ConfigModel
import Gateway
import Glibc
import Issuers
import Operations
import PKI
import Reconciler
import SQLiteState
import State
import SystemPackage

/// One apply, from reading the state to printing the summary.
struct ApplyRun {
    let file: ConfigurationFile
    let configuration: Configuration
    let early: EarlyState
    /// The signals that stop the apply early; nil where the process handles none.
    var signals: StopSignals?
    /// Whether providers are asked if they still have the certificates that they issued.
    var refreshes = false
    /// Whether the apply may delete or disable more than half of ten or more enabled hosts.
    var allowsDeletions = false

    func run() throws {
        // The apply continues when the program that reads its output ends.
        _ = signal(SIGPIPE, SIG_IGN)
        let path = file.resolve(configuration.statePath).string
        let cache = CertificateMaterials.cacheDirectory(configuration, file)
        // The first plan is made without the lock: taking it would write to the state.
        let reader = SecretReader(directory: file.directory)
        let found = try early.wait()
        // A wrong key makes every apply fail at once, even one that would change nothing.
        let presentKey = try found.store.map { try MasterKeySource.find(configuration, reader, $0).key }
        let authority = Result { () throws(IssuanceFailure) in
            try LocalAuthority(directory: cache, now: currentTime())
        }
        let drift = try self.drift(found.store, found.snapshot, reader)
        let first = plan(found.snapshot, authority, drift)
        try refuse(first.plan.conflicts)
        if first.plan.isEmpty {
            let chains = try ChainsInForce.warnings(first.plan, of: configuration, in: file, found.store)
            file.complain(
                MasterKeySource.warnings(configuration, found.store) + file.parsed.diagnostics + first.warnings + chains
            )
            return try endWithoutChanges(found.store, presentKey, path)
        }
        found.store?.close()

        let store = try SQLiteStateStore(path: path)
        defer { store.close() }
        let keeper = try LeaseKeeper.forApplying(store)
        defer { keeper.release() }
        let source = try MasterKeySource.find(configuration, reader, store)
        // The plan is made again under the lock if another apply has changed the state meanwhile.
        let isSame = try store.revision() == found.snapshot.revision
        let (plan, warnings) = isSame ? first : plan(try store.snapshot(), authority, drift)
        try refuse(plan.conflicts)
        let unsafeKey = MasterKeySource.warnings(configuration, store)
        let chains = try ChainsInForce.warnings(plan, of: configuration, in: file, store)
        file.complain(unsafeKey + file.parsed.diagnostics + warnings + chains)
        guard !plan.isEmpty else { return try endWithoutChanges(store, source.key, path) }
        let text = PlanTextRenderer(colour: Terminal.wantsColour(.standardOutput)).text(plan)
        try? Terminal.print(text + [UInt8(ascii: "\n")])

        if let deletion = plan.massDeletion, !allowsDeletions {
            throw CommandFailure(message: deletion.refusal.message, hint: deletion.refusal.hint)
        }
        try noteLosses(drift, of: found.snapshot, store, keeper.holder)
        try carryOut(plan, store, keeper, source, authority, leaving: plan.leavingIssuers)
    }

    /// Ends the command if the file contradicts what the admin API owns.
    private func refuse(_ conflicts: [Diagnostic]) throws {
        guard !conflicts.isEmpty else { return }
        file.complain(conflicts)
        Terminal.complain("aegis-apply: nothing is applied: the file and the admin API contradict each other\n")
        throw ExitStatus.invalidFile
    }

    private func carryOut(
        _ plan: Plan, _ store: SQLiteStateStore, _ keeper: LeaseKeeper, _ source: MasterKeySource,
        _ authority: Result<LocalAuthority, IssuanceFailure>, leaving: [Issuer]
    ) throws {
        signals?.beginWork()
        let stop = signals?.request ?? StopRequest()
        let report = ProgressReport(total: plan.changes.count)
        let sealer = Sealer(key: source.key)
        let settings = configuration.gateway
        let board = ChallengeBoard(store: store, holder: keeper.holder) { () throws(IssuanceFailure) in
            try ChallengeResponder(settings)
        }
        let context = IssuanceContext(
            store: store, holder: keeper.holder, sealer: sealer,
            secrets: SecretReader(directory: file.directory, store: store, sealer: sealer), now: currentTime)
        let applier = Applier(
            context,
            sources: CertificateSources(
                local: authority, board: board, context, leaving: leaving),
            stop: stop, progress: report.tell)
        let origin = Applier.Origin(
            fileName: file.source.name, directory: file.absoluteDirectory, text: file.source.bytes)
        let isFirst = try store.setting(.sealingKeyID) == nil
        let changed = Set(plan.changes.map(\.item))
        let pending = try pendingPacks(store).filter { !changed.contains(ItemID(.edgeCertificate, $0.displayName)) }
        var lost = 0
        let refused = PeerFiles(plan, of: configuration, in: file).refused
        let first = isFirst ? source.mutations : []
        let outcome = try applier.apply(plan, of: configuration, from: origin, first: first, refused: refused) {
            // `follow` also deletes former packs, once the pack that replaces them is active.
            lost = try follow(pending, context, stop)
        }
        report.finish()
        let revoked =
            stop.isMade ? [] : try context.revokeSuperseded(issuers: configuration.issuers, leaving: leaving)
        let start = outcome.generation.map { "Applied generation \($0)" } ?? "Nothing is applied"
        try? Terminal.print("\(start): \(outcome.summary).\n")
        try revoked.tell()
        signals?.endIfReceived("not in force", outcome.left) {
            keeper.release()
            // From here on, calls to CAs that are still running can't write to the state.
            store.close()
        }
        try checkKeys(store, source.key)
        if outcome.failures + lost > 0 { throw ExitStatus.itemsFailed }
    }

    private func endWithoutChanges(_ store: SQLiteStateStore?, _ key: MasterKey?, _ path: String) throws {
        try Terminal.print("No changes: the state is what the file says.\n")
        guard let store, let key else { return }
        try finishOpenWork(store, key, path)
        try checkKeys(store, key)
    }

    /// Finishes work that earlier applies left open and that the plan does not show: packs that were not active yet,
    /// and certificates that must still be revoked.
    private func finishOpenWork(_ reading: SQLiteStateStore, _ key: MasterKey, _ path: String) throws {
        let pending = try pendingPacks(reading)
        guard try !pending.isEmpty || !reading.supersededCertificates().isEmpty else { return }
        signals?.setLastWords(nil)
        let store = try SQLiteStateStore(path: path)
        defer { store.close() }
        let sealer = Sealer(key: key)
        let context = IssuanceContext(
            store: store, holder: .current(), sealer: sealer,
            secrets: SecretReader(directory: file.directory, store: store, sealer: sealer), now: currentTime)
        try context.revokeSuperseded(issuers: configuration.issuers).tell()
        if try follow(pending, context, StopRequest()) > 0 { throw ExitStatus.itemsFailed }
    }

    /// The edge certificates whose packs are not active yet, or whose former packs are not deleted yet.
    private func pendingPacks(_ store: SQLiteStateStore) throws -> [EdgeCertificate] {
        let packs = Dictionary(grouping: try store.edgePacks(), by: \.certificate)
        return configuration.edgeCertificates.filter { certificate in
            packs[certificate.displayName].map { $0.last?.isActive == false || $0.count > 1 } ?? false
        }
    }

    /// Follows packs and prints their status. Returns how many packs failed.
    private func follow(
        _ certificates: [EdgeCertificate], _ context: IssuanceContext, _ stop: StopRequest
    ) throws -> Int {
        var failures = 0
        let report = ProgressReport(total: certificates.count)
        for certificate in certificates {
            let item = ItemID(.edgeCertificate, certificate.displayName)
            report.tell(.started(item, .order, at: certificate.baseURL.text))
        }
        let workers = ParallelWork(count: 8, stop: stop)
        let tellWaiting = { (queued: Int, waits: [(input: EdgeCertificate, reason: String)]) in
            let waits = waits.map { (ItemID(.edgeCertificate, $0.input.displayName), $0.reason) }
            report.tell(.stillWaiting(queued: queued, waits: Dictionary(waits) { $1 }))
        }
        try workers.run(certificates, stillWaiting: tellWaiting) { certificate, tell in
            let name = certificate.displayName
            do throws(IssuanceFailure) {
                let followed = try EdgePacks(context).follow(certificate, named: name, patience: certificate.wait)
                guard let pack = followed else { return tell((name, nil, "")) }
                tell((name, pack.isActive || pack.isPending ? nil : IssuanceFailure(pack.news), pack.news))
            } catch {
                tell((name, error, ""))
            }
        } receive: { (events: [(name: String, failure: IssuanceFailure?, news: String)]) in
            for event in events {
                report.end(ItemID(.edgeCertificate, event.name))
                if let failure = event.failure {
                    failures += 1
                    let hint = failure.hint.map { "  hint: \($0)\n" } ?? ""
                    Terminal.complain("  edge_certificate \(event.name): \(failure.reason)\n" + hint)
                } else if !event.news.isEmpty {
                    try? Terminal.print("Edge certificate \(event.name) \(event.news)\n")
                }
            }
        }
        report.finish()
        return failures
    }

    private func drift(
        _ store: SQLiteStateStore?, _ snapshot: StateSnapshot, _ reader: SecretReader
    ) throws -> [ItemID: String] {
        let known = try EdgeStatus.orderedAgain(configuration, snapshot, store)
        guard refreshes, let store else { return known }
        let (reasons, warnings) = try Refresh(configuration: configuration, secrets: reader, store: store).drift()
        file.complain(warnings)
        return reasons.merging(known) { $1 }
    }

    /// Records which certificates providers no longer have, even if those certificates can't be replaced now.
    private func noteLosses(
        _ drift: [ItemID: String], of snapshot: StateSnapshot, _ store: SQLiteStateStore, _ holder: LeaseHolder
    ) throws {
        let losses = drift.compactMap { item, reason -> StateMutation? in
            guard let facts = snapshot.items[item]?.certificate, facts.loss != reason else { return nil }
            return .noteLoss(certificate: item.name, fingerprint: facts.fingerprint, reason: reason)
        }
        if !losses.isEmpty { try store.commit(losses, by: holder) }
    }

    /// Warns of stored certificates whose keys can't be opened. Otherwise only a handshake would show that a key is
    /// damaged.
    private func checkKeys(_ store: SQLiteStateStore, _ key: MasterKey) throws {
        let sealer = Sealer(key: key)
        for (name, reason) in try KeyCheck.damagedIdentities(in: store, sealer) {
            Terminal.complain(
                "aegis-apply: the stored material of identity '\(name)' can't be used: \(reason)\n"
                    + "hint: a gateway obtains it from its Vault again\n")
        }
        let damaged = try KeyCheck.damaged(in: store, sealer)
        guard !damaged.isEmpty else { return }
        for (name, reason) in damaged {
            Terminal.complain("aegis-apply: certificate '\(name)' can't be served: \(reason)\n")
        }
        Terminal.complain(
            "hint: restore the state from a backup; or take them and their hosts out of the file, apply, and put them back\n"
        )
        throw ExitStatus.itemsFailed
    }

    private func plan(
        _ snapshot: StateSnapshot, _ authority: Result<LocalAuthority, IssuanceFailure>, _ drift: [ItemID: String]
    )
        -> (plan: Plan, warnings: [Diagnostic])
    {
        var (materials, warnings) = CertificateMaterials.look(for: configuration, in: file, snapshot)
        var localCA: [UInt8]?
        switch authority {
        case .success(let authority): localCA = authority.digest
        // The rest of the apply needs no local CA; a certificate that the local CA should issue fails with an error of
        // its own.
        case .failure(let failure): warnings.append(.warning(at: .none, failure.reason, hint: failure.hint))
        }
        let plan = Planner(
            configuration, against: snapshot, materials: materials, localCA: localCA, drift: drift,
            now: currentTime()
        ).plan()
        return (plan, warnings + PeerFiles(plan, of: configuration, in: file).warnings)
    }
}

extension Plan {
    /// The issuers that this plan deletes, with the settings that the state has.
    fileprivate var leavingIssuers: [Issuer] {
        changes.filter { $0.action == .delete && $0.item.kind == .issuer }.compactMap { change in
            guard let record = change.former?.record, var issuer = Issuer(record: record) else { return nil }
            issuer.name = change.item.name
            return issuer
        }
    }
}
