import ArgumentParser
import ConfigModel
import Gateway
import Glibc
import Issuers
import Reconciler
import SQLiteState
import State
import SystemPackage

/// Applies the file, or shows what that would do.
struct ApplyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply", abstract: "Apply the file, or with --dry-run show what that would do.")

    @Argument(help: "The configuration; '-' is the standard input.", completion: .file(extensions: ["yaml", "yml"]))
    var file = "aegis.yaml"

    @Flag(help: "Show what would happen and change nothing: no file is made, no network touched, no secret needed.")
    var dryRun = false

    @Flag(help: "With --dry-run: ask name servers, CAs and the names themselves whether certificates could be had.")
    var preflight = false

    @Flag(help: "Ask providers first whether they still have what was had from them; what is gone is had anew.")
    var refresh = false

    @Option(help: "How to print the plan: text or json.")
    var format = OutputFormat.text

    @Flag(help: "With --dry-run: exit with 2 when there are changes.")
    var detailedExitcode = false

    func validate() throws {
        if detailedExitcode, !dryRun { throw ValidationError("--detailed-exitcode goes with --dry-run.") }
        if preflight, !dryRun {
            throw ValidationError("--preflight goes with --dry-run: without it the CAs themselves are asked.")
        }
        if format == .json, !dryRun { throw ValidationError("--format json goes with --dry-run.") }
    }

    func run() throws {
        var early: EarlyState?
        let file = try ConfigurationFile.read(file) { early = EarlyState(path: $0) }
        let configuration = try file.validated(format)
        try reporting {
            guard let early else { preconditionFailure("a valid file tells where its state is") }
            if dryRun {
                try show(file, configuration, early)
            } else {
                try ApplyRun(file: file, configuration: configuration, early: early, refreshes: refresh).run()
                endAtOnce(.success)
            }
        }
    }

    /// Ends the program: giving back the model and plan of very many hosts piece by piece would take longer than reading
    /// them.
    private func endAtOnce(_ status: ExitCode) -> Never { Glibc.exit(status.rawValue) }

    private func show(_ file: ConfigurationFile, _ configuration: Configuration, _ early: EarlyState) throws {
        let (store, snapshot) = try { ($0.store, $0.snapshot) }(early.wait())
        let (materials, found) = CertificateMaterials.look(
            for: configuration, in: file, snapshot, checks: true)
        let (drift, unknown) = try self.drift(file, configuration, store, snapshot)
        let authority = LocalAuthority.digest(in: CertificateMaterials.cacheDirectory(configuration, file))
        let plan = Planner(
            configuration, against: snapshot, materials: materials, localCA: authority, drift: drift,
            now: currentTime()
        ).plan()
        let unsafeKey = MasterKeySource.warnings(configuration, isFirst: snapshot.generation == 0)
        let doubts = preflight ? try preflightWarnings(plan, file, configuration, store, snapshot) : []
        let warnings =
            unsafeKey + (file.parsed.diagnostics + found + unknown + doubts).sorted { $0.position < $1.position }
        switch format {
        case .json:
            let values = DiagnosticRenderer(file.source, file.parsed.visibility).values(warnings)
            try Terminal.print(PlanJSONRenderer().json(plan, warnings: values))
        case .text:
            file.complain(warnings)
            let renderer = PlanTextRenderer(colour: Terminal.wantsColour(.standardOutput))
            try Terminal.print(renderer.text(plan))
        }
        endAtOnce(detailedExitcode && !plan.isEmpty ? ExitStatus.hasChanges : .success)
    }

    private func drift(
        _ file: ConfigurationFile, _ configuration: Configuration, _ store: SQLiteStateStore?, _ snapshot: StateSnapshot
    ) throws -> ([ItemID: String], [Diagnostic]) {
        let known = try Refresh.known(configuration, snapshot, store)
        guard refresh, let store else { return (known, []) }
        let (reasons, warnings) = try Refresh(
            configuration: configuration, secrets: SecretReader(directory: file.directory), store: store
        ).drift()
        return (reasons.merging(known) { $1 }, warnings)
    }

    /// What stands in the way of the certificates that the plan has from CAs.
    private func preflightWarnings(
        _ plan: Plan, _ file: ConfigurationFile, _ configuration: Configuration, _ store: SQLiteStateStore?,
        _ snapshot: StateSnapshot
    ) throws -> [Diagnostic] {
        // Where the world is another; see CONTRIBUTING.md.
        var outside = PreflightChecks.Outside()
        outside.resolver = Terminal.environment("AEGIS_PREFLIGHT_RESOLVER")
        outside.httpPort = Terminal.environment("AEGIS_PREFLIGHT_HTTP_PORT").flatMap(Int.init) ?? outside.httpPort
        // Only http-01 is tried.
        var settings = configuration.gateway
        settings.https = []
        return try Preflight(plan, of: configuration, against: snapshot).run { (needs) throws(IssuanceFailure) in
            try PreflightChecks(
                for: needs, outside: outside, secrets: SecretReader(directory: file.directory), store: store,
                now: currentTime()
            ) { () throws(IssuanceFailure) in try ChallengeResponder(settings) }
        }
    }
}
