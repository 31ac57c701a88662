import ArgumentParser
import ConfigModel
import Issuers
import Operations
import PKI
import ProgramArguments
import Reconciler
import SQLiteState
import State
import SystemPackage

/// `aegis-apply renew`: renews certificates that are due, and with `--force` certificates that are not due.
struct RenewCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "renew", abstract: "Renew certificates that are due, or any with --force.",
        discussion: """
            Without names, the command looks at all certificates that come from issuers. It asks their CAs for renewal \
            advice. A running gateway does the same by itself; use the command if you can't wait, or on a machine without a gateway.
            """)

    @Argument(help: "The certificates' names; for a host's own certificate, the host's domain.")
    var names: [String] = []

    @Flag(help: "Renew all certificates that come from issuers; the default without names.")
    var all = false

    @Flag(
        help:
            "Renew also certificates that are not due yet, or that wait after a failure. This counts against the CA's limits."
    )
    var force = false

    @OptionGroup var options: StateOptions

    func validate() throws {
        try ArgumentRules.check {
            if all, !names.isEmpty { throw ValidationError("Give names or --all, not both.") }
            if force, names.isEmpty, !all { throw ValidationError("--force needs names, or --all.") }
        }
    }

    func run() throws {
        // Signals are blocked before any thread starts, since threads inherit the mask.
        let signals = StopSignals()
        try reporting {
            let access = try IssuerAccess(options)
            defer { access.store.close() }
            var state = access.state
            let givenUp = force ? try giveUpDoubtful(access) : []
            let now = currentTime()
            let selected = try state.select(
                names.filter { !givenUp.contains($0) }, orAll: givenUp.isEmpty, forced: force)
            if !force { try state.takeAdvice(on: selected, access.context) }
            let wanted = selected.filter { force || state.isDue($0, now: now) }
            let begun = Set(wanted.map(\.name))
            try tellFaults(of: Set(selected.map(\.name)).subtracting(begun), in: access.store)
            let waits = force ? 0 : try tellWaits(of: selected, state, now: now)
            if !wanted.isEmpty {
                signals.beginWork()
                let failures = try carryOut(state.jobs(wanted, access.context, startsAnew: force), signals)
                try access.revokeSuperseded(signals.request)
                signals.endIfReceived("not renewed", [])
                if failures > 0 { throw ExitStatus.itemsFailed }
            } else if givenUp.isEmpty, waits == 0 {
                try Terminal.print("Nothing is due.\n")
            }
            if waits > 0, !names.isEmpty { throw ExitStatus.itemsFailed }
        }
    }

    /// The most waiting certificates that the output names.
    private static let maximumWaits = 10

    /// Prints which certificates are due but wait for their next try. Returns the number of these certificates.
    private func tellWaits(of certificates: [ManagedCertificate], _ state: ManagedState, now: Int64) throws -> Int {
        let waiting = certificates.compactMap { certificate in
            state.wait(of: certificate, now: now).map { wait in
                "'\(certificate.name)' is due, and waits until \(UTCTime.text(wait.until)): \(wait.reason)\n"
            }
        }
        guard !waiting.isEmpty else { return 0 }
        let others = waiting.count - Self.maximumWaits
        let more = others > 0 ? "\(others) more are due, and wait.\n" : ""
        try Terminal.print(waiting.prefix(Self.maximumWaits).joined() + more)
        Terminal.complain("hint: with its name and --force one is tried at once\n")
        return waiting.count
    }

    /// Deletes the orders of certificates that are not in the state yet, and prints the names: only an apply can obtain
    /// such certificates. Returns the names.
    private func giveUpDoubtful(_ access: IssuerAccess) throws -> [String] {
        let begun = Set(try access.store.pendingOrders().map(\.certificate))
        let givenUp = names.filter { begun.contains($0) && access.state.certificates[$0] == nil }
        for name in givenUp {
            let keeper = try LeaseKeeper(.certificate(name), in: access.store)
            defer { keeper.release() }
            try access.store.deleteOrder(for: name, by: keeper.holder)
            try Terminal.print(
                "The order of '\(name)' is given up; 'aegis-apply' has another certificate issued.\n")
        }
        return givenUp
    }

    private typealias Entry = (name: String, caID: String, job: CertificateJob)

    /// Runs the jobs, several at once, and prints the result of each. Returns how many jobs failed. Ends the program if
    /// a signal stopped the work.
    private func carryOut(_ jobs: [Entry], _ signals: StopSignals) throws -> Int {
        let report = ProgressReport(total: jobs.count)
        var failures = 0
        var left = Set(jobs.map(\.name))
        let workers = ParallelWork(count: 8, stop: signals.request)
        let tellWaiting = { (queued: Int, waits: [(input: Entry, reason: String)]) in
            let waits = waits.map { (ItemID(.certificate, $0.input.name), $0.reason) }
            report.tell(.stillWaiting(queued: queued, waits: Dictionary(waits) { $1 }))
        }
        try workers.run(jobs, at: \.caID, stillWaiting: tellWaiting) { entry, tell in
            tell((entry.name, entry.caID, nil))
            tell((entry.name, entry.caID, entry.job.run()))
        } receive: { (events: [(name: String, caID: String, outcome: CertificateJob.Outcome?)]) in
            for event in events {
                let item = ItemID(.certificate, event.name)
                if event.outcome != nil { left.remove(event.name) }
                switch event.outcome {
                case nil: report.tell(.started(item, .renew, at: event.caID))
                case .stored(let warnings):
                    report.tell(.finished(item, .renew))
                    warnings.forEach { report.tell(.warning(item, $0)) }
                case .busy:
                    failures += 1
                    report.tell(.failed(item, .renew, IssuanceFailure("another process is having it")))
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
        signals.endIfReceived("not renewed", left.sorted().map { ItemID(.certificate, $0) })
        return failures
    }
}
