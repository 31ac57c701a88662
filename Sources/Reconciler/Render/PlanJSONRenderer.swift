import ConfigModel
import State

/// Renders a plan as one JSON object.
package struct PlanJSONRenderer {
    /// The number is incremented when programs that read the former format can't read the new format.
    package static let formatVersion = 1

    package init() {}

    /// Returns the plan as JSON. `errors` and `warnings` are lists of diagnostics, made by `DiagnosticRenderer.values`.
    package func json(_ plan: Plan, errors: PlainValue = .list([]), warnings: PlainValue) -> [UInt8] {
        // The changes are written one by one: a single value for a first plan of 100,000 hosts would take half a
        // gigabyte.
        var output = Array(
            "{\n  \"format_version\": \(Self.formatVersion),\n  \"generation\": \(plan.generation),\n".utf8)
        append(plan.changes, named: "changes", to: &output, value)
        append(plan.unmanaged, named: "unmanaged", to: &output) { .map(identity($0)) }
        output += "  \"errors\": ".utf8
        output += errors.json(indented: true)
        output += ",\n  \"warnings\": ".utf8
        output += warnings.json(indented: true)
        output += ",\n  \"summary\": ".utf8
        output += PlainValue.map(Action.allCases.map { ($0.rawValue, .int(plan.count(of: $0))) }).json()
        output += "\n}\n".utf8
        return output
    }

    /// Appends a key with a list, one item on each line.
    private func append<Item>(
        _ items: [Item], named name: String, to output: inout [UInt8], _ value: (Item) -> PlainValue
    ) {
        output += "  \"\(name)\": [".utf8
        for (index, item) in items.enumerated() {
            output += (index == 0 ? "\n    " : ",\n    ").utf8
            output += value(item).json()
        }
        output += (items.isEmpty ? "],\n" : "\n  ],\n").utf8
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
