import CFuzzer
import ConfigModel
import Reconciler

// Any bytes, taken all the way: model or diagnostics, both renderings, records and plan.
//
// libFuzzer calls this with each input it makes up; a trap, a hang or too much memory is a finding.

func take(_ bytes: [UInt8]) {
    let source = SourceText(name: "fuzz", bytes: bytes)
    let parsed = Configuration.parse(source)
    let hasErrors = parsed.diagnostics.contains { $0.severity == .error }
    precondition((parsed.configuration == nil) == hasErrors)
    let renderer = DiagnosticRenderer(source, colour: true)
    _ = renderer.text(parsed.diagnostics)
    _ = renderer.values(parsed.diagnostics).json()
    guard let configuration = parsed.configuration else { return }
    for host in configuration.hosts {
        let record = host.record(.compact)
        precondition(Host(record: record.json())?.record(.compact) == record, "a record reads back as itself")
    }
    let plan = Planner(configuration, against: .empty).plan()
    _ = PlanTextRenderer().text(plan)
    _ = PlanJSONRenderer().json(plan, warnings: .null)
}

var argumentCount = CommandLine.argc
var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe CommandLine.unsafeArgv
// The bytes are lent for the call; the array is a copy of them.
let status = unsafe LLVMFuzzerRunDriver(&argumentCount, &arguments) { start, count in
    take(unsafe [UInt8](UnsafeBufferPointer(start: start, count: count)))
    return 0
}
