import ConfigModel
import State

/// Renders a plan as text:
///
///     + certificate shop: upload
///         cert.file  shop.pem
///     ~ host app.example.com
///         aliases  - old.example.com
///                  + new.example.com
///         balance  round_robin → ip_hash
///
///     Plan: 1 to upload, 1 to update.
///
/// For lists it shows the values that were removed, added and moved; for long texts it shows the part that differs
/// (`ValueText`).
package struct PlanTextRenderer {
    private let colour: Bool

    /// `colour` adds ANSI colours for a terminal.
    package init(colour: Bool = false) { self.colour = colour }

    /// The plan in UTF-8, which ends with the summary line. `remarks` come before the summary, one on each line.
    /// `counted`, such as a number of warnings, is appended to the summary.
    package func text(_ plan: Plan, remarks: [String] = [], counted: String? = nil) -> [UInt8] {
        // The output is bytes, which are faster than a String: a first plan of 100,000 hosts has 25 MB.
        var output: [UInt8] = []
        for change in plan.changes { append(change, to: &output) }
        if !plan.unmanaged.isEmpty {
            output += "  left alone, not from the file:\n".utf8
            for item in plan.unmanaged { output += "      \(title(item))\n".utf8 }
        }
        if !output.isEmpty, !remarks.isEmpty { output += "\n".utf8 }
        for remark in remarks { output += "  ! \(remark)\n".utf8 }
        if !output.isEmpty { output += "\n".utf8 }
        output += summary(plan).utf8
        output += (counted.map { " \($0).\n" } ?? "\n").utf8
        return output
    }

    private func summary(_ plan: Plan) -> String {
        guard !plan.isEmpty else { return "No changes: the state is what the file says." }
        let parts = Action.allCases.map { (plan.count(of: $0), $0) }.filter { $0.0 > 0 }
            .map { "\($0.0) to \($0.1.rawValue)" }
        return "Plan: " + parts.joined(separator: ", ") + "."
    }

    private func append(_ change: Change, to output: inout [UInt8]) {
        var line = "  \(change.symbol) \(title(change.item))"
        if ![.create, .update, .delete].contains(change.action) { line += ": \(change.action.rawValue)" }
        if let reason = change.reason { line += " (\(reason))" }
        output += paint(line, change.colour).utf8
        output += "\n".utf8
        // Keys and header names are ASCII, so a path has as many columns as bytes.
        let width = change.fields.map(\.path.utf8.count).max() ?? 0
        for field in change.fields {
            let lines =
                change.exists
                ? ValueText.lines(from: field.before, to: field.after) : [ValueText.whole(field.after)]
            for (index, line) in lines.enumerated() {
                let path = index == 0 ? field.path : ""
                output += "      ".utf8
                output += path.utf8
                output += repeatElement(UInt8(ascii: " "), count: width - path.utf8.count + 2)
                output += line.utf8
                output += "\n".utf8
            }
        }
    }

    private func title(_ item: ItemID) -> String {
        item.kind.isSingle ? item.kind.rawValue : "\(item.kind.rawValue) \(item.name)"
    }

    private func paint(_ text: String, _ code: String) -> String {
        colour ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}

extension Change {
    fileprivate var symbol: String {
        switch work {
        case .delete: "-"
        case .create: "+"
        case .update, .adopt: "~"
        case .upload: exists ? "~" : "+"
        case .issue, .order: exists ? "↻" : "+"
        case .renew: "↻"
        }
    }

    fileprivate var colour: String {
        switch symbol {
        case "-": "31"
        case "~": "33"
        case "↻": "36"
        default: "32"
        }
    }
}
