import ConfigModel

/// Writes a plan for people.
///
///     + certificate shop: upload
///         cert.file  shop.pem
///     ~ host app.example.com
///         balance    round_robin → ip_hash
///
///     Plan: 1 to upload, 1 to update.
public struct PlanTextRenderer {
    /// Longer values are cut; JSON has them whole.
    private static let maxValueLength = 100
    private let colour: Bool

    /// A renderer; `colour` adds ANSI colours for a terminal.
    public init(colour: Bool = false) { self.colour = colour }

    /// The whole plan, ending with its summary line.
    public func text(_ plan: Plan) -> String {
        var text = ""
        for change in plan.changes { append(change, to: &text) }
        if !plan.unmanaged.isEmpty {
            text += "  left alone, not from the file:\n"
            for item in plan.unmanaged { text += "      \(title(item))\n" }
        }
        if !text.isEmpty { text += "\n" }
        return text + summary(plan) + "\n"
    }

    private func summary(_ plan: Plan) -> String {
        guard !plan.isEmpty else { return "No changes: the state is what the file says." }
        let parts = Action.allCases.map { (plan.count(of: $0), $0) }.filter { $0.0 > 0 }
            .map { "\($0.0) to \($0.1.rawValue)" }
        return "Plan: " + parts.joined(separator: ", ") + "."
    }

    private func append(_ change: Change, to text: inout String) {
        var line = "  \(change.symbol) \(title(change.item))"
        if ![.create, .update, .delete].contains(change.action) { line += ": \(change.action.rawValue)" }
        if let reason = change.reason { line += " (\(reason))" }
        text += paint(line, change.colour) + "\n"
        let width = change.fields.map(\.path.count).max() ?? 0
        for field in change.fields {
            let padding = String(repeating: " ", count: width - field.path.count)
            text += "      \(field.path)\(padding)  "
            if change.exists { text += "\(shown(field.before)) → " }
            text += shown(field.after) + "\n"
        }
    }

    private func title(_ item: ItemID) -> String {
        item.kind == .gateway ? "gateway" : "\(item.kind.rawValue) \(item.name)"
    }

    private func shown(_ value: PlainValue) -> String {
        let text =
            switch value {
            case .null: "(none)"
            case .string(let text): text.isEmpty ? "\"\"" : text
            case .list(let items): "[" + items.map(shown).joined(separator: ", ") + "]"
            default: String(decoding: value.json(), as: UTF8.self)
            }
        let cut = text.utf8.count > Self.maxValueLength ? text.prefix(Self.maxValueLength) + "…" : text[...]
        return cut.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F || $0 == 0xC2 }) ? escaped(cut) : String(cut)
    }

    /// The text with control characters written out, so that it stays on its line and can't drive a terminal.
    private func escaped(_ text: Substring) -> String {
        text.unicodeScalars.reduce(into: "") { result, scalar in
            let isControl = scalar.properties.generalCategory == .control
            result += isControl ? scalar.escaped(asASCII: true) : String(scalar)
        }
    }

    private func paint(_ text: String, _ code: String) -> String {
        colour ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }
}

extension Change {
    fileprivate var symbol: String {
        switch action {
        case .delete: "-"
        case .create: "+"
        case .update: "~"
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
