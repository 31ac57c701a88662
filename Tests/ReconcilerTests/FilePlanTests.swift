import ConfigModel
import Foundation
import State
import Testing

@testable import Reconciler

/// The text and the JSON of a plan must show exactly what differs between two files. `PlainFile` computes that without
/// the program's model; the files go through the program's reader and rules.
@Suite struct FilePlanTests {
    private static let pairs = ProcessInfo.processInfo.environment["AEGIS_LONG"] == nil ? 10_000 : 100_000
    private static let parts = 8

    @Test("Text and JSON of a plan show exactly what differs between two files", arguments: 0..<parts)
    func agreement(_ part: Int) throws {
        var generator = PlainFileGenerator(seed: UInt64(part))
        var seen: Set<String> = []
        var (file, old, state) = (PlainFile(items: []), "", StateSnapshot.empty)
        for count in 0..<Self.pairs / Self.parts {
            if count == 0 || generator.numbers.once(in: 12) {
                file = generator.file()
                old = PlainFileText(file, seed: generator.numbers.next()).text
                state = Self.state(of: try Self.configuration(old))
            }
            let next = generator.changed(file)
            let new = PlainFileText(next, seed: generator.numbers.next()).text
            let configuration = try Self.configuration(new)
            let expected = file.differences(to: next)
            var plan = Planner(configuration, against: state, now: 0).plan()
            plan.changes.removeAll { $0.action == .update && !next.isWanted($0.item) }
            let reason = try Self.fault(of: plan, expected)
            guard reason == nil else {
                Issue.record("\(reason ?? "")\n\(old)--- becomes\n\(new)--- expected \(expected)")
                return
            }
            for (id, difference) in expected { seen.insert("\(id.kind.rawValue) \(Self.word(difference))") }
            if expected.isEmpty { seen.insert("nothing") }
            (file, old, state) = (next, new, Self.state(of: configuration))
        }
        let kinds: [ItemKind] = [.vault, .identity, .issuer, .certificate, .edgeCertificate, .host]
        let wanted = kinds.flatMap { kind in ["created", "deleted", "changed"].map { "\(kind.rawValue) \($0)" } }
        #expect(
            Set(wanted + ["gateway changed", "alerts changed", "nothing"]).subtracting(seen) == [], "never happened")
    }

    @Test("A plan that leaves out, adds or garbles anything is noticed")
    func faults() throws {
        var generator = PlainFileGenerator(seed: 100)
        var found = [0, 0, 0, 0, 0]
        for _ in 0..<200 {
            let file = generator.file()
            let next = generator.changed(file)
            let texts = [file, next].map { PlainFileText($0, seed: generator.numbers.next()).text }
            let state = Self.state(of: try Self.configuration(texts[0]))
            var plan = Planner(try Self.configuration(texts[1]), against: state, now: 0).plan()
            plan.changes.removeAll { $0.action == .update && !next.isWanted($0.item) }
            let expected = file.differences(to: next)
            try #require(try Self.fault(of: plan, expected) == nil)
            for (index, change) in plan.changes.enumerated() {
                var worse = Array(repeating: plan, count: found.count)
                worse[0].changes.remove(at: index)
                worse[1].changes.append(Change(action: .delete, item: ItemID(.host, "x"), exists: true, fields: []))
                var isPossible = [true, true, false, false, false]
                if change.exists, let field = change.fields.first {
                    worse[2].changes[index].fields.removeFirst()
                    worse[3].changes[index].fields.append(FieldChange(path: "x", before: .null, after: .int(1)))
                    worse[4].changes[index].fields[0].after = field.before
                    isPossible = [true, true, true, true, true]
                }
                for fault in found.indices where isPossible[fault] {
                    #expect(try Self.fault(of: worse[fault], expected) != nil, "\(fault) of \(change)")
                    found[fault] += 1
                }
            }
        }
        #expect(found.allSatisfy { $0 > 100 }, "\(found)")
    }

    private static func word(_ difference: PlainFile.Difference) -> String {
        switch difference {
        case .created: "created"
        case .deleted: "deleted"
        case .changed: "changed"
        }
    }

    // MARK: The program

    private static func configuration(_ text: String) throws -> Configuration {
        let parsed = Configuration.parse(SourceText(name: "x", text))
        return try #require(
            parsed.configuration, "\(parsed.diagnostics.filter { $0.severity == .error }.map(\.message))\n\(text)")
    }

    /// The state after an apply of a file.
    private static func state(of configuration: Configuration) -> StateSnapshot {
        let directories = Dictionary(uniqueKeysWithValues: configuration.issuers.map { ($0.name, $0) })
        var items: [ItemID: StoredItem] = [:]
        configuration.forEachItem(materials: [:]) { item in
            guard item.isWanted else { return }
            items[item.id] = StoredItem(owner: .file, record: configuration.record(of: item))
            guard item.id.kind == .certificate else { return }
            let issuer = configuration.issuers(of: item).first.flatMap { directories[$0]?.settings as? ACMEIssuer }
            items[item.id]?.certificate = CertificateFacts(
                domains: configuration.names(of: item), source: issuer == nil ? .localCA : .letsencrypt,
                issuerCommonName: "CA", notBefore: 0, expiresAt: 90 * 86_400,
                autoRenew: configuration.renewsAutomatically(item), createdAt: 0, fingerprint: item.id.name,
                directory: issuer?.directory.text ?? "")
        }
        return StateSnapshot(generation: 1, items: items)
    }

    /// Why a plan does not show what it must; nil if it does.
    private static func fault(of plan: Plan, _ expected: [ItemID: PlainFile.Difference]) throws -> String? {
        let text = String(decoding: PlanTextRenderer().text(plan), as: UTF8.self)
        let bytes = PlanJSONRenderer().json(plan, warnings: .list([]))
        guard !text.contains("canary"), !String(decoding: bytes, as: UTF8.self).contains("canary") else {
            return "a secret is shown"
        }
        let changes = try JSONDecoder().decode(ShownPlan.self, from: Data(bytes)).changes
        guard Set(changes.map(\.id)) == Set(expected.keys), changes.count == expected.count else {
            return "the items differ: \(text)"
        }
        for change in changes {
            guard let difference = expected[change.id], change.shows(difference) else {
                return "'\(change.id.kind) \(change.id.name)' differs: \(text)"
            }
        }
        return PlanText(text).disagreement(with: changes).map { "\($0): \(text)" }
    }
}

/// A plan's JSON.
private struct ShownPlan: Decodable {
    let changes: [ShownChange]
}

/// A change as a plan's JSON has it.
struct ShownChange: Decodable {
    struct Field: Decodable {
        let path: String
        let before: ShownValue
        let after: ShownValue
    }

    private let kind: String
    private let name: String
    let action: String
    let fields: [Field]
    let reason: String?

    var id: ItemID { ItemID(ItemKind(rawValue: kind) ?? .node, name) }

    func shows(_ difference: PlainFile.Difference) -> Bool {
        guard Set(fields.map(\.path)).count == fields.count else { return false }
        switch difference {
        case .deleted: return action == "delete" && fields.isEmpty && reason?.hasPrefix("no longer in the file") == true
        case .created(let item):
            // A certificate that continues under another name has no fields of its own.
            if reason?.hasSuffix("has the same names, and becomes this one") == true { return fields.isEmpty }
            return ["create", "issue", "upload", "order"].contains(action)
                && fields.allSatisfy { $0.before.value == .null }
                && PlainFile.isShown(
                    item, by: Dictionary(uniqueKeysWithValues: fields.map { ($0.path, $0.after.value) }))
        case .changed(let values):
            let shown = fields.map { ($0.path, PlainFile.Values(before: $0.before.value, after: $0.after.value)) }
            return ["update", "issue", "upload", "order"].contains(action) && (!values.isEmpty || reason != nil)
                && Dictionary(uniqueKeysWithValues: shown) == values
        }
    }
}

/// A plan's text, read as a person reads it.
struct PlanText {
    private struct Change {
        let title: String
        let isNew: Bool
        var fields: [(path: String, lines: [Substring])] = []
    }

    private var changes: [Change] = []

    init(_ text: String) {
        // Without changes, the summary is the only line.
        guard text.contains("\n\n") else { return }
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).prefix(while: { !$0.isEmpty }) {
            if line.hasPrefix("       "), let last = changes.indices.last, let field = changes[last].fields.indices.last
            {
                changes[last].fields[field].lines.append(line.drop { $0 == " " })
            } else if line.hasPrefix("      "), let last = changes.indices.last {
                let rest = line.dropFirst(6)
                let path = rest.prefix { $0 != " " }
                changes[last].fields.append((String(path), [rest.dropFirst(path.count).drop { $0 == " " }]))
            } else {
                let title = line.dropFirst(4).prefix { $0 != "(" }.split(separator: ":").first ?? ""
                changes.append(
                    Change(title: title.trimmingCharacters(in: .whitespaces), isNew: line.dropFirst(2).first == "+"))
            }
        }
    }

    /// How the text disagrees with the JSON; nil if both show the same.
    func disagreement(with others: [ShownChange]) -> String? {
        guard changes.count == others.count else { return "the text has \(changes.count) changes" }
        for (change, other) in zip(changes, others) {
            let name = other.id.kind.isSingle ? other.id.kind.rawValue : "\(other.id.kind.rawValue) \(other.id.name)"
            guard change.title == name, change.fields.map(\.path) == other.fields.map(\.path) else {
                return "the text has '\(change.title)'"
            }
            for (field, shown) in zip(change.fields, other.fields) {
                let isRight =
                    change.isNew
                    ? field.lines.count == 1 && field.lines[0] != ""
                    : ShownLines.differ(field.lines, elements: (shown.before.elements, shown.after.elements))
                guard isRight else { return "the text shows \(field)" }
            }
        }
        return nil
    }
}

/// A value as a plan's JSON has it.
struct ShownValue: Decodable {
    let value: PlainValue

    /// The elements of a list as JSON; nil for other values.
    var elements: [[UInt8]]? {
        guard case .list(let list) = value else { return nil }
        return list.map { $0.json() }
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            value = .null
        } else if let flag = try? container.decode(Bool.self) {
            value = .bool(flag)
        } else if let number = try? container.decode(Int.self) {
            value = .int(number)
        } else if let text = try? container.decode(String.self) {
            value = .string(text)
        } else if let list = try? container.decode([ShownValue].self) {
            value = .list(list.map(\.value))
        } else {
            value = .map(
                try container.decode([String: ShownValue].self).sorted { $0.key < $1.key }.map { ($0, $1.value) })
        }
    }
}
