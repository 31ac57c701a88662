import ArgumentParser
import ConfigModel
import Gateway
import Glibc
import Issuers
import PKI
import Reconciler
import SQLiteState
import State
import SystemPackage

/// One apply from the lock to the last line.
struct ApplyRun {
    let file: ConfigurationFile
    let configuration: Configuration
    let early: EarlyState

    func run() throws {
        // Who reads along may go; the apply goes on.
        _ = signal(SIGPIPE, SIG_IGN)
        let path = file.resolve(configuration.statePath).string
        let cache = CertificateMaterials.cacheDirectory(configuration, file)
        // First without the lock and without writing: taking the lock would write.
        let reader = SecretReader(directory: file.directory)
        let found = try early.wait()
        // A deploy with the wrong key is to fail at once, not when something changes.
        let presentKey = try found.store.map { try MasterKeySource.find(configuration, reader, $0).key }
        let authority = Result { () throws(IssuanceFailure) in
            try LocalAuthority(directory: cache, now: currentTime())
        }
        let first = plan(found.snapshot, authority)
        if first.plan.isEmpty {
            file.complain(
                MasterKeySource.warnings(configuration, isFirst: false) + file.parsed.diagnostics + first.warnings)
            return try endWithoutChanges(found.store, presentKey)
        }
        found.store?.close()

        let store = try SQLiteStateStore(path: path)
        defer { store.close() }
        let keeper = try LeaseKeeper.forApplying(store)
        defer { keeper.release() }
        let source = try MasterKeySource.find(configuration, reader, store)
        // Again under the lock, if another apply has gone before.
        let isSame = try store.revision() == found.snapshot.revision
        let (plan, warnings) = isSame ? first : plan(try store.snapshot(), authority)
        let unsafeKey = MasterKeySource.warnings(configuration, isFirst: plan.generation == 0)
        file.complain(unsafeKey + file.parsed.diagnostics + warnings)
        guard !plan.isEmpty else { return try endWithoutChanges(store, source.key) }
        let text = PlanTextRenderer(colour: Terminal.wantsColour(.standardOutput)).text(plan)
        try? Terminal.print(text + [UInt8(ascii: "\n")])

        let report = ProgressReport(total: plan.changes.count)
        let sealer = Sealer(key: source.key)
        let settings = configuration.gateway
        let board = ChallengeBoard(store: store, holder: keeper.holder) { () throws(IssuanceFailure) in
            try ChallengeResponder(settings)
        }
        let tools = IssuanceTools(
            store: store, holder: keeper.holder, sealer: sealer,
            secrets: SecretReader(directory: file.directory, store: store, sealer: sealer), now: currentTime)
        let applier = Applier(
            tools, sources: CertificateSources(local: authority, orders: ACMEOrders(tools, board: board), tools),
            progress: report.tell)
        let origin = Applier.Origin(
            fileName: file.source.name, directory: file.absoluteDirectory, text: file.source.bytes)
        let isFirst = try store.setting(.sealingKeyID) == nil
        let outcome = try applier.apply(plan, of: configuration, from: origin, first: isFirst ? source.mutations : [])
        report.finish()
        let revoked = try OriginRevocations(tools).revokeSuperseded(issuers: configuration.issuers)
        let start = outcome.generation.map { "Applied generation \($0)" } ?? "Nothing is applied"
        try? Terminal.print("\(start): \(outcome.summary).\n")
        try revoked.tell()
        try checkKeys(store, source.key)
        if outcome.failures > 0 { throw ExitStatus.itemsFailed }
    }

    private func endWithoutChanges(_ store: SQLiteStateStore?, _ key: MasterKey?) throws {
        try Terminal.print("No changes: the state is what the file says.\n")
        if let store, let key { try checkKeys(store, key) }
    }

    /// Names the stored certificates that can't be served: nothing else would tell before a handshake needs them.
    private func checkKeys(_ store: SQLiteStateStore, _ key: MasterKey) throws {
        let damaged = try KeyCheck.damaged(in: store, Sealer(key: key))
        guard !damaged.isEmpty else { return }
        for (name, reason) in damaged {
            Terminal.complain("aegis-apply: certificate '\(name)' can't be served: \(reason)\n")
        }
        Terminal.complain(
            "hint: restore the state from a backup; or take them and their hosts out of the file, apply, and put them back\n"
        )
        throw ExitStatus.itemsFailed
    }

    private func plan(_ snapshot: StateSnapshot, _ authority: Result<LocalAuthority, IssuanceFailure>)
        -> (plan: Plan, warnings: [Diagnostic])
    {
        var (materials, warnings) = CertificateMaterials.look(for: configuration, in: file, snapshot)
        var localCA: [UInt8]?
        switch authority {
        case .success(let authority): localCA = authority.digest
        // Nothing else needs it: what it is to issue fails by name.
        case .failure(let failure): warnings.append(.warning(at: .none, failure.reason, hint: failure.hint))
        }
        let plan = Planner(
            configuration, against: snapshot, materials: materials, localCA: localCA, now: currentTime()
        ).plan()
        return (plan, warnings)
    }
}
