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
///
/// With `refreshes`, providers are asked only when everything else is in force, since an answer may take minutes. What
/// they have lost is then replaced by a second plan.
struct ApplyRun {
    let file: ConfigurationFile
    let configuration: Configuration
    let early: EarlyState
    /// The signals that stop the apply early; nil where the process handles none.
    var signals: StopSignals?
    /// Whether providers are asked if they still have the certificates that they issued.
    var refreshes = false
    /// Whether the apply may delete or disable more than half of ten or more names of enabled hosts.
    var allowsDeletions = false

    /// The results of the plans that were carried out so far.
    private struct Progress {
        /// Whether a plan has changed the state.
        var isApplied = false
        var failures = 0
    }

    func run() throws {
        // The apply continues when the program that reads its output ends.
        _ = signal(SIGPIPE, SIG_IGN)
        let found = try early.wait()
        // A wrong key makes every apply fail at once, even one that would change nothing.
        let key = try found.store.map { try MasterKeySource.find(configuration, reader, $0).key }
        var progress = Progress()
        let known = try EdgeStatus.orderedAgain(configuration, found.snapshot, found.store)
        try apply(plan(found.snapshot, known), of: found, known, &progress)
        if refreshes { try replaceLosses(&progress) }
        if !progress.isApplied {
            try Terminal.print("No changes: the state is what the file says.\n")
            if let store = try SQLiteStateStore(readingFrom: path), let key {
                progress.failures += try finishOpenWork(store, key) + checkKeys(store, key)
            }
        }
        if progress.failures > 0 { throw ExitStatus.itemsFailed }
    }

    /// Carries out a plan for the state as it was found, unless the plan is empty. Closes the store in `found` before
    /// another connection changes the state.
    private func apply(
        _ first: (plan: Plan, warnings: [Diagnostic]), of found: EarlyState.Content, _ drift: [ItemID: String],
        _ progress: inout Progress
    ) throws {
        try refuse(first.plan.conflicts)
        if first.plan.isEmpty { return try complain(first, found.store) }
        found.store?.close()

        let store = try SQLiteStateStore(path: path)
        defer { store.close() }
        let keeper = try LeaseKeeper.forApplying(store)
        defer { keeper.release() }
        // The plan is made again under the lock if another apply has changed the state meanwhile.
        let isSame = try store.revision() == found.snapshot.revision
        let (plan, warnings) = isSame ? first : plan(try store.snapshot(), drift)
        try refuse(plan.conflicts)
        try complain((plan, warnings), store)
        guard !plan.isEmpty else { return }
        try show(plan)
        if let deletion = plan.massDeletion, !allowsDeletions {
            throw CommandFailure(message: deletion.refusal.message, hint: deletion.refusal.hint)
        }
        try carryOut(plan, store, keeper, &progress)
    }

    /// Asks providers about the certificates that the state has now, and replaces those that they have lost.
    private func replaceLosses(_ progress: inout Progress) throws {
        guard let reading = try SQLiteStateStore(readingFrom: path) else { return }
        let snapshot = try reading.snapshot()
        signals?.beginWork()
        let answers = try Refresh(configuration: configuration, secrets: reader, store: reading).ask(signals?.request)
        reading.close()
        file.complain(answers.warnings)
        signals?.endIfReceived("not refreshed", answers.unfinished)
        guard !answers.losses.isEmpty else { return }

        let store = try SQLiteStateStore(path: path)
        defer { store.close() }
        let keeper = try LeaseKeeper.forApplying(store)
        defer { keeper.release() }
        // A gateway may have replaced a certificate while its provider was asked.
        let now = try store.snapshot()
        let losses = answers.losses.filter { loss in
            snapshot.items[loss.key]?.certificate?.fingerprint == now.items[loss.key]?.certificate?.fingerprint
        }
        try noteLosses(losses, of: now, store, keeper.holder)
        var plan = plan(try store.snapshot(), losses).plan
        try refuse(plan.conflicts)
        // The plan may also change other items: those that have failed just now, or that another apply has changed.
        // They are left alone.
        plan.changes.removeAll { losses[$0.item] == nil }
        plan.massDeletion = nil
        guard !plan.isEmpty else { return }
        try show(plan)
        try carryOut(plan, store, keeper, &progress)
    }

    private var path: String { file.resolve(configuration.statePath).string }
    private var reader: SecretReader { SecretReader(directory: file.directory) }
    private var authority: Result<LocalAuthority, IssuanceFailure> {
        let cache = CertificateMaterials.cacheDirectory(configuration, file)
        return Result { () throws(IssuanceFailure) in try LocalAuthority(directory: cache, now: currentTime()) }
    }

    private func show(_ plan: Plan) throws {
        let text = PlanTextRenderer(colour: Terminal.wantsColour(.standardOutput)).text(plan)
        try? Terminal.print(text + [UInt8(ascii: "\n")])
    }

    private func complain(_ made: (plan: Plan, warnings: [Diagnostic]), _ store: SQLiteStateStore?) throws {
        let chains = try ChainsInForce.warnings(made.plan, of: configuration, in: file, store)
        file.complain(
            MasterKeySource.warnings(configuration, store) + file.parsed.diagnostics + made.warnings + chains)
    }

    /// Ends the command if the file contradicts what the admin API owns.
    private func refuse(_ conflicts: [Diagnostic]) throws {
        guard !conflicts.isEmpty else { return }
        file.complain(conflicts)
        Terminal.complain("aegis-apply: nothing is applied: the file and the admin API contradict each other\n")
        throw ExitStatus.invalidFile
    }

    private func carryOut(
        _ plan: Plan, _ store: SQLiteStateStore, _ keeper: LeaseKeeper, _ progress: inout Progress
    ) throws {
        let source = try MasterKeySource.find(configuration, reader, store)
        signals?.beginWork()
        let stop = signals?.request ?? StopRequest()
        let report = ProgressReport(total: plan.changes.count)
        let context = context(store, keeper.holder, source.key)
        let settings = configuration.gateway
        let board = ChallengeBoard(store: store, holder: keeper.holder) { () throws(IssuanceFailure) in
            try ChallengeResponder(settings)
        }
        let leaving = plan.leavingIssuers
        let applier = Applier(
            context, sources: CertificateSources(local: authority, board: board, context, leaving: leaving),
            stop: stop, progress: report.tell)
        let origin = Applier.Origin(
            fileName: file.source.name, directory: file.absoluteDirectory, text: file.source.bytes)
        let isFirst = try store.setting(.sealingKeyID) == nil
        let refused = PeerFiles(plan, of: configuration, in: file).refused
        let first = isFirst ? source.mutations : []
        let hasApplied = progress.isApplied
        let packs = try OpenPacks(of: configuration, in: store, besides: Set(plan.changes.map(\.item)))
        let outcome = try applier.apply(
            plan, of: configuration, from: origin, first: first, refused: refused, failedBefore: progress.failures
        ) {
            if !hasApplied { progress.failures += try packs.follow(context, stop) }
        }
        report.finish()
        let start = outcome.generation.map { "Applied generation \($0)" } ?? "Nothing is applied"
        try? Terminal.print("\(start): \(outcome.summary).\n")
        // Another apply may begin, since a revocation may take minutes.
        keeper.release()
        try context.revokeSuperseded(issuers: configuration.issuers, leaving: leaving, stop).tell()
        // From here on, calls to CAs that are still running can't write to the state.
        signals?.endIfReceived("not in force", outcome.left) { store.close() }
        progress.failures += outcome.failures
        if !hasApplied { progress.failures += try checkKeys(store, source.key) }
        progress.isApplied = true
    }

    private func context(_ store: SQLiteStateStore, _ holder: LeaseHolder, _ key: MasterKey) -> IssuanceContext {
        let sealer = Sealer(key: key)
        return IssuanceContext(
            store: store, holder: holder, sealer: sealer,
            secrets: SecretReader(directory: file.directory, store: store, sealer: sealer), now: currentTime)
    }

    /// Finishes work that earlier applies left open and that the plan does not show: packs that were not active yet,
    /// and certificates that must still be revoked. Returns how many packs failed.
    private func finishOpenWork(_ reading: SQLiteStateStore, _ key: MasterKey) throws -> Int {
        let packs = try OpenPacks(of: configuration, in: reading)
        guard try !packs.isEmpty || !reading.supersededCertificates().isEmpty else { return 0 }
        signals?.beginWork()
        let stop = signals?.request ?? StopRequest()
        let store = try SQLiteStateStore(path: path)
        defer { store.close() }
        let context = context(store, .current(), key)
        try context.revokeSuperseded(issuers: configuration.issuers, stop).tell()
        let failures = try packs.follow(context, stop)
        signals?.endIfReceived("not finished", packs.items) { store.close() }
        return failures
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
    /// damaged. Returns how many there are.
    private func checkKeys(_ store: SQLiteStateStore, _ key: MasterKey) throws -> Int {
        let sealer = Sealer(key: key)
        for (name, reason) in try KeyCheck.damagedIdentities(in: store, sealer) {
            Terminal.complain(
                "aegis-apply: the stored material of identity '\(name)' can't be used: \(reason)\n"
                    + "hint: a gateway obtains it from its Vault again\n")
        }
        let damaged = try KeyCheck.damaged(in: store, sealer)
        guard !damaged.isEmpty else { return 0 }
        for (name, reason) in damaged {
            Terminal.complain("aegis-apply: certificate '\(name)' can't be served: \(reason)\n")
        }
        Terminal.complain(
            "hint: restore the state from a backup; or take them and their hosts out of the file, apply, and put them back\n"
        )
        return damaged.count
    }

    private func plan(_ snapshot: StateSnapshot, _ drift: [ItemID: String]) -> (plan: Plan, warnings: [Diagnostic]) {
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
