import ACME
import ArgumentParser
import ConfigModel
import Gateway
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
            let jobs = try state.jobs(wanted, store, Sealer(key: source.key), directory)
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

/// What of a state concerns having certificates.
private struct ManagedState {
    private var settings = GatewaySettings()
    private var issuers: [String: Issuer] = [:]
    private var certificates: [String: ManagedCertificate] = [:]
    private var stored: [String: CertificateFacts] = [:]

    init(_ store: SQLiteStateStore) throws {
        try store.readChanges(since: 0) { change in
            switch change {
            case .item(let id, let item):
                switch id.kind {
                case .gateway: settings = GatewaySettings(record: item.record) ?? settings
                case .issuer:
                    guard var issuer = Issuer(record: item.record) else { return }
                    issuer.name = id.name
                    issuers[id.name] = issuer
                case .host:
                    guard let host = Host(record: item.record) else { return }
                    if let certificate = ManagedCertificate(host, record: item.record) {
                        certificates[id.name] = certificate
                    }
                default: break
                }
            case .certificate(let certificate):
                stored[certificate.name] = certificate.facts
                if certificates[certificate.name] == nil {
                    certificates[certificate.name] = ManagedCertificate(certificate)
                }
            default: break
            }
        }
    }

    /// Those of these names, or all; ends the program at a name that is none.
    func select(_ names: [String]) throws -> [ManagedCertificate] {
        if names.isEmpty { return certificates.values.sorted { $0.name < $1.name } }
        return try names.map { name in
            if let certificate = certificates[name] { return certificate }
            if stored[name] != nil {
                throw CommandFailure(
                    message: "the certificate '\(name)' is not renewed by Aegis",
                    hint: "your own certificates are replaced by an apply; auto_renew: false keeps others out")
            }
            let near = Suggestion.nearest(to: name, in: certificates.keys.sorted().prefix(10_000))
            throw CommandFailure(
                message: "there is no certificate '\(name)'",
                hint: near.map { "did you mean '\($0)'?" } ?? "'aegis-apply certificates' lists them")
        }
    }

    func isDue(_ name: String, now: Int64) -> Bool {
        guard let facts = stored[name] else { return true }
        return now >= RenewalScheduler.dueAt(notBefore: facts.notBefore, notAfter: facts.expiresAt)
    }

    func jobs(
        _ wanted: [ManagedCertificate], _ store: SQLiteStateStore, _ sealer: Sealer, _ directory: FilePath
    ) throws -> [(name: String, job: CertificateJob)] {
        let reader = SecretReader(directory: directory)
        let holder = LeaseHolder.current()
        let board = ChallengeBoard(store: store, holder: holder) { [settings] () throws(IssuanceFailure) in
            try ChallengeResponder(settings)
        }
        let orders = ACMEOrders(
            store: store, holder: holder, sealer: sealer, secrets: reader, board: board, now: currentTime)
        let cache =
            Terminal.environment("AEGIS_SSL_CACHE_DIR").map { FilePath($0) }
            ?? directory.pushing(FilePath(settings.cacheDirectory))
        let sources = CertificateSources(
            own: OwnCertificate(reader),
            local: Result { () throws(IssuanceFailure) in try LocalAuthority(directory: cache, now: currentTime()) },
            orders: orders, now: currentTime)
        return wanted.map { certificate in
            let job = CertificateJob(
                certificate, issuers: Array(issuers.values), store: store, sealer: sealer, sources: sources,
                actor: "\(holder.user)@\(holder.machine)")
            return (certificate.name, job)
        }
    }
}
