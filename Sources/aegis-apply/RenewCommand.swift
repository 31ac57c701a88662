import ArgumentParser
import ConfigModel
import Issuers
import PKI
import Reconciler
import SQLiteState
import State
import SystemPackage

/// Has certificates renewed: those that are due, or on request others too.
struct RenewCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "renew", abstract: "Renew certificates that are due, or with --force any.",
        discussion: """
            Without names all certificates of issuers are looked at. A running gateway does this by itself; the command is for \
            those who can't wait, and for machines without one.
            """)

    @Argument(help: "The certificates' names; a host's is its domain.")
    var names: [String] = []

    @Flag(help: "All certificates of issuers; the same as no name.")
    var all = false

    @Flag(help: "Also what is not due yet. It counts against the CA's limits.")
    var force = false

    @OptionGroup var options: StateOptions

    func validate() throws {
        if all, !names.isEmpty { throw ValidationError("Give names or --all, not both.") }
        if force, names.isEmpty, !all { throw ValidationError("--force needs names, or --all.") }
    }

    func run() throws {
        try reporting {
            let known = try options.configuration()
            let path = try options.openForReading().path
            let store = try SQLiteStateStore(path: path)
            defer { store.close() }
            let state = try ManagedState(store)
            let now = currentTime()
            let wanted = try state.select(names).filter { force || state.isDue($0.name, now: now) }
            guard !wanted.isEmpty else { return try Terminal.print("Nothing is due.\n") }
            let directory = FilePath(try store.directory() ?? ".")
            let source = try MasterKeySource.find(known?.configuration, SecretReader(directory: directory), store)
            let jobs = state.jobs(wanted, store, Sealer(key: source.key), directory)
            let failures = try carryOut(jobs, state)
            if failures > 0 { throw ExitStatus.itemsFailed }
        }
    }

    /// Runs the jobs, several at once, and tells of each. How many failed.
    private func carryOut(_ jobs: [(name: String, job: CertificateJob)], _ state: ManagedState) throws -> Int {
        let report = ProgressReport(total: jobs.count)
        var failures = 0
        try Workers(count: 8).run(jobs) { entry, tell in
            tell((entry.name, nil))
            tell((entry.name, entry.job.run()))
        } take: { (events: [(name: String, outcome: CertificateJob.Outcome?)]) in
            for event in events {
                let item = ItemID(.certificate, event.name)
                switch event.outcome {
                case nil: report.tell(.started(item, .renew))
                case .stored: report.tell(.finished(item, .renew))
                case .busy:
                    report.tell(.finished(item, .renew))
                    report.tell(.warning(item, "is being had by another process"))
                case .obsolete:
                    failures += 1
                    report.tell(.failed(item, .renew, IssuanceFailure("it was changed or deleted meanwhile")))
                case .failed(let failure):
                    failures += 1
                    report.tell(.failed(item, .renew, failure))
                }
            }
        }
        report.finish()
        return failures
    }
}
