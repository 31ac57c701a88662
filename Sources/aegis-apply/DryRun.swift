import ArgumentParser
import ConfigModel
import Gateway
import Issuers
import Operations
import Reconciler
import SQLiteState
import State
import SystemPackage

/// Shows what an apply would change, and which of the changes would fail. Changes nothing.
struct DryRun {
    let file: ConfigurationFile
    let configuration: Configuration
    let early: EarlyState
    /// Whether providers are asked if they still have the certificates that they issued.
    var refreshes = false
    /// Whether name servers and CAs are asked if the certificates could be issued.
    var preflight = false
    var format = OutputFormat.text
    /// Whether warnings count as errors.
    var isStrict = false
    /// Whether the exit code is 2 when there are changes.
    var tellsChanges = false
    /// Whether an apply may delete or disable more than half of ten or more names of enabled hosts.
    var allowsDeletions = false

    /// Prints the plan, then ends the program with the exit code.
    func run() throws {
        let (store, snapshot) = try { ($0.store, $0.snapshot) }(early.wait())
        let (materials, found) = CertificateMaterials.look(for: configuration, in: file, snapshot)
        let (drift, unknown) = try self.drift(store, snapshot)
        let authority = LocalAuthority.digest(in: CertificateMaterials.cacheDirectory(configuration, file))
        let plan = Planner(
            configuration, against: snapshot, materials: materials, localCA: authority, drift: drift,
            now: currentTime()
        ).plan()
        let keys =
            MasterKeySource.warnings(configuration, store)
            + MasterKeySource.refusal(configuration, SecretReader(directory: file.directory), store)
        let trusts = PeerFiles(plan, of: configuration, in: file)
        let obstacles =
            trusts.errors + trusts.warnings
            + Obstacles(file: file, configuration: configuration, plan: plan, store: store).found()
        let refused =
            CertificateMaterials.refusals(plan, of: configuration, in: file)
            + CertificateMaterials.refusedHosts(plan, of: configuration, against: snapshot)
        let chains = try ChainsInForce.warnings(plan, of: configuration, in: file, store)
        let doubts = preflight ? try preflightWarnings(plan, store, snapshot) : []
        // If a certificate or host has an error, its warnings are left out.
        let others = found.filter { found in !refused.contains { $0.position == found.position } }
        let deletions = allowsDeletions ? [] : plan.massDeletion.map { [$0.refusal] } ?? []
        let told =
            (plan.conflicts + deletions + keys + obstacles + file.parsed.diagnostics + others + refused + chains
            + unknown
            + doubts)
            .sorted { $0.position < $1.position }
        try show(plan, told)
        if told.contains(where: { isStrict || $0.severity == .error }) { ProgramEnd.atOnce(ExitStatus.itemsFailed) }
        ProgramEnd.atOnce(tellsChanges && !plan.isEmpty ? ExitStatus.hasChanges : .success)
    }

    private func show(_ plan: Plan, _ told: [Diagnostic]) throws {
        let renderer = DiagnosticRenderer(file.source, file.parsed.visibility)
        switch format {
        case .json:
            let errors = told.filter { $0.severity == .error }
            let warnings = told.filter { $0.severity == .warning }
            try Terminal.print(
                PlanJSONRenderer().json(
                    plan, errors: renderer.values(errors), warnings: renderer.values(warnings)))
        case .text:
            file.complain(told)
            let text = PlanTextRenderer(colour: Terminal.wantsColour(.standardOutput))
                .text(plan, remarks: told.map(renderer.line), counted: renderer.counts(told))
            try Terminal.print(text)
        }
    }

    private func drift(_ store: SQLiteStateStore?, _ snapshot: StateSnapshot) throws -> ([ItemID: String], [Diagnostic])
    {
        let known = try EdgeStatus.orderedAgain(configuration, snapshot, store)
        guard refreshes, let store else { return (known, []) }
        let answers = try Refresh(
            configuration: configuration, secrets: SecretReader(directory: file.directory), store: store,
            patience: .seconds(15)
        ).ask()
        return (answers.losses.merging(known) { $1 }, answers.warnings)
    }

    /// Warnings about faults that would prevent CAs from issuing the plan's certificates.
    private func preflightWarnings(
        _ plan: Plan, _ store: SQLiteStateStore?, _ snapshot: StateSnapshot
    ) throws -> [Diagnostic] {
        // Tests replace the resolver and the port; see CONTRIBUTING.md.
        var outside = PreflightChecks.NetworkOverrides()
        outside.resolver = Terminal.environment("AEGIS_PREFLIGHT_RESOLVER")
        outside.httpPort = Terminal.environment("AEGIS_PREFLIGHT_HTTP_PORT").flatMap(Int.init) ?? outside.httpPort
        // Only http-01 is probed, so the probe listens on no HTTPS address.
        var settings = configuration.gateway
        settings.https = []
        let since = ContinuousClock.now
        let tellWaiting = {
            Terminal.complain("  still asking CAs, name servers and hosts (\(since.secondsPassed) s)\n")
        }
        return try Preflight(plan, of: configuration, against: snapshot).run(stillWaiting: tellWaiting) {
            (needs) throws(IssuanceFailure) in
            try PreflightChecks(
                for: needs, outside: outside, secrets: SecretReader(directory: file.directory), store: store,
                now: currentTime()
            ) { () throws(IssuanceFailure) in try ChallengeResponder(settings) }
        }
    }
}
