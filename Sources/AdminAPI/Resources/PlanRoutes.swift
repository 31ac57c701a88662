import ConfigModel
import Gateway
import Operations
import Reconciler

/// What applying a file would change.
enum PlanRoutes {
    static let all: [Route] = [
        Route(
            method: "POST", path: "/api/v1/plan", scope: .read, name: "planFile",
            summary: "What applying the text of a file would change in this state. Nothing is changed", query: [],
            body: .map([("type", .string("string"))]), bodyTypes: ["application/yaml"],
            answer: Route.Answer(
                summary: "The plan, in the form of 'aegis-apply --dry-run --format json'", type: "application/json",
                schema: .map([("type", .string("object"))])), carryOut: plan)
    ]

    private static func plan(_ call: Call) throws -> AdminResponse {
        let source = SourceText(name: "request", bytes: call.request.body)
        let parsed = Configuration.parse(source)
        let renderer = DiagnosticRenderer(source, parsed.visibility)
        guard let configuration = parsed.configuration else {
            throw Problem(
                .invalid, "The file has errors.",
                errors: parsed.diagnostics.filter { $0.severity == .error }.map { fault in
                    (.line(fault.position.line, fault.position.column), fault.text)
                })
        }
        let found = try StatePlan(of: parsed, configuration, in: call.store, now: call.now)
        let errors = found.diagnostics.filter { $0.severity == .error }
        let warnings = found.diagnostics.filter { $0.severity == .warning }
        return AdminResponse(
            status: 200, fields: [("Content-Type", "application/json")],
            body: PlanJSONRenderer().json(
                found.plan, errors: renderer.values(errors), warnings: renderer.values(warnings)))
    }
}

extension Diagnostic {
    /// The message and the hint.
    fileprivate var text: String { hint.map { "\(message); \($0)" } ?? message }
}
