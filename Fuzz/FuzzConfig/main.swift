import ConfigModel
import Foundation
import FuzzDriver
import Reconciler

// Reads any bytes as a configuration file. Makes diagnostics in both renderings, and records and a plan if the file is
// valid.

func take(_ bytes: [UInt8]) {
    let source = SourceText(name: "fuzz", bytes: bytes)
    let parsed = Configuration.parse(source)
    let hasErrors = parsed.diagnostics.contains { $0.severity == .error }
    precondition((parsed.configuration == nil) == hasErrors)
    let renderer = DiagnosticRenderer(source, parsed.visibility, colour: true)
    _ = renderer.text(parsed.diagnostics)
    _ = renderer.values(parsed.diagnostics).json()
    guard let configuration = parsed.configuration else { return }
    checkRecord(configuration.gateway)
    configuration.issuers.forEach(checkRecord)
    configuration.certificates.forEach(checkRecord)
    configuration.edgeCertificates.forEach(checkRecord)
    configuration.hosts.forEach(checkRecord)
    let plan = Planner(configuration, against: .empty, now: 0).plan()
    _ = PlanTextRenderer().text(plan)
    _ = PlanJSONRenderer().json(plan, warnings: .null)
}

func checkRecord<Value: Recorded>(_ value: Value) {
    let record = value.record(.compact)
    precondition(Value(record: record.json())?.record(.compact) == record, "a record reads back as itself")
}

exit(fuzz(take))
