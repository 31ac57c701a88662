import ConfigModel

/// Writes a plan for machines, as one JSON object.
public struct PlanJSONRenderer {
    /// Raised when a reader of the old form could no longer read the new one.
    public static let formatVersion = 1

    /// A renderer.
    public init() {}

    /// The plan with its warnings, which `DiagnosticRenderer.values` has made.
    public func json(_ plan: Plan, warnings: PlainValue) -> [UInt8] {
        PlainValue.map([
            ("format_version", .int(Self.formatVersion)),
            ("generation", .int(plan.generation)),
            ("changes", .list(plan.changes.map(value))),
            ("unmanaged", .list(plan.unmanaged.map { .map(identity($0)) })),
            ("warnings", warnings),
            ("summary", .map(Action.allCases.map { ($0.rawValue, .int(plan.count(of: $0))) })),
        ]).json(indented: true) + [UInt8(ascii: "\n")]
    }

    private func identity(_ item: ItemID) -> [(String, PlainValue)] {
        [("kind", .string(item.kind.rawValue)), ("name", .string(item.name))]
    }

    private func value(_ change: Change) -> PlainValue {
        let fields = change.fields.map { field in
            PlainValue.map([("path", .string(field.path)), ("before", field.before), ("after", field.after)])
        }
        return .map(
            [("action", .string(change.action.rawValue))] + identity(change.item)
                + [("fields", .list(fields)), ("reason", change.reason.map(PlainValue.string) ?? .null)])
    }
}
