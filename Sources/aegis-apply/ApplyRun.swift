import ArgumentParser
import ConfigModel
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

    func run() throws {
        // Who reads along may go; the apply goes on.
        _ = signal(SIGPIPE, SIG_IGN)
        let path = file.resolve(configuration.statePath).string
        let cache = CertificateMaterials.cacheDirectory(configuration, file)
        // First without the lock and without writing: taking the lock would write.
        let reader = SecretReader(directory: file.directory)
        let present = try SQLiteStateStore(readingFrom: path)
        // A deploy with the wrong key is to fail at once, not when something changes.
        if let present { _ = try MasterKeySource.find(configuration, reader, present) }
        let early = try present?.snapshot() ?? .empty
        present?.close()
        let authority = try openAuthority(cache)
        let first = plan(early, authority)
        if first.plan.isEmpty {
            file.complain(
                MasterKeySource.warnings(configuration, isFirst: false) + file.parsed.diagnostics + first.warnings)
            return try Terminal.print(Self.upToDate)
        }

        let store = try SQLiteStateStore(path: path)
        defer { store.close() }
        let keeper = try LeaseKeeper(store)
        defer { keeper.release() }
        let source = try MasterKeySource.find(configuration, reader, store)
        // Again under the lock, if another apply has gone before.
        let isSame = try store.revision() == early.revision
        let (plan, warnings) = isSame ? first : plan(try store.snapshot(), authority)
        let unsafeKey = MasterKeySource.warnings(configuration, isFirst: plan.generation == 0)
        file.complain(unsafeKey + file.parsed.diagnostics + warnings)
        guard !plan.isEmpty else { return try Terminal.print(Self.upToDate) }
        let text = PlanTextRenderer(colour: Terminal.wantsColour(.standardOutput)).text(plan)
        try? Terminal.print(text + [UInt8(ascii: "\n")])

        let report = ProgressReport(total: plan.changes.count)
        let applier = Applier(
            store: store, holder: keeper.holder, sealer: Sealer(key: source.key),
            sources: CertificateSources(own: OwnCertificate(reader), local: authority, now: currentTime),
            now: currentTime, progress: report.tell)
        let origin = Applier.Origin(
            fileName: file.source.name, directory: file.absoluteDirectory, text: file.source.bytes)
        let isFirst = try store.setting(.sealingKeyID) == nil
        let outcome = try applier.apply(plan, of: configuration, from: origin, first: isFirst ? source.mutations : [])
        report.finish()
        let name = outcome.generation.map { "generation \($0): " } ?? ""
        try? Terminal.print("Applied \(name)\(outcome.summary).\n")
        if outcome.failures > 0 { throw ExitStatus.itemsFailed }
    }

    private static let upToDate = "No changes: the state is what the file says.\n"

    private func plan(_ snapshot: StateSnapshot, _ authority: LocalAuthority) -> (plan: Plan, warnings: [Diagnostic]) {
        let (materials, warnings) = CertificateMaterials.look(for: configuration, in: file, snapshot)
        return (
            Planner(
                configuration, against: snapshot, materials: materials, localCA: authority.digest,
                now: currentTime()
            ).plan(), warnings
        )
    }

    private func openAuthority(_ cache: FilePath) throws -> LocalAuthority {
        do {
            return try LocalAuthority(directory: cache, now: currentTime())
        } catch {
            throw CommandFailure(message: error.reason, hint: error.hint)
        }
    }
}
