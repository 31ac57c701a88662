import ArgumentParser
import ConfigModel
import Reconciler
import SystemPackage

/// Applies the file, or shows what that would do.
struct ApplyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply", abstract: "Apply the file, or with --dry-run show what that would do.")

    @Argument(help: "The configuration; '-' is the standard input.", completion: .file(extensions: ["yaml", "yml"]))
    var file = "aegis.yaml"

    @Flag(help: "Show what would happen and change nothing: no file is made, no network touched, no secret needed.")
    var dryRun = false

    @Option(help: "How to print the plan: text or json.")
    var format = OutputFormat.text

    @Flag(help: "With --dry-run: exit with 2 when there are changes.")
    var detailedExitcode = false

    func validate() throws {
        if detailedExitcode, !dryRun { throw ValidationError("--detailed-exitcode goes with --dry-run.") }
    }

    func run() throws {
        let file = try ConfigurationFile.read(file)
        let configuration = try file.validated(format)
        guard dryRun else {
            file.complain(file.parsed.diagnostics)
            Terminal.complain("aegis-apply: this version only plans\nhint: add --dry-run\n")
            throw ExitCode.failure
        }
        let (materials, warnings) = CertificateMaterials.look(for: configuration, in: file)
        let plan = Planner(configuration, against: .empty, materials: materials).plan()
        try show(plan, warnings: (file.parsed.diagnostics + warnings).sorted { $0.position < $1.position }, of: file)
        if detailedExitcode, !plan.isEmpty { throw ExitStatus.hasChanges }
    }

    private func show(_ plan: Plan, warnings: [Diagnostic], of file: ConfigurationFile) throws {
        switch format {
        case .json:
            let values = DiagnosticRenderer(file.source, file.parsed.visibility).values(warnings)
            try Terminal.print(PlanJSONRenderer().json(plan, warnings: values))
        case .text:
            file.complain(warnings)
            let renderer = PlanTextRenderer(colour: Terminal.wantsColour(.standardOutput))
            try Terminal.print(renderer.text(plan))
        }
    }
}
