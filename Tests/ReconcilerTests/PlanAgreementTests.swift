import ConfigModel
import Foundation
import State
import Testing

@testable import Reconciler

/// The text and the JSON of a plan must show exactly what changes of an item. Very many pairs of items are made from the
/// schema, so that no key is missed; `FilePlanTests` compares whole files.
@Suite struct PlanAgreementTests {
    /// A kind of item, and how the file declares it.
    struct Kind: Sendable, CustomTestStringConvertible {
        let item: ItemID
        let path: [String]
        /// The keys that name the item.
        var fixed: [(String, PlainValue)] = []
        /// Keys that are other spellings of other keys. Records don't contain them.
        var alternatives: Set<String> = []
        /// Sets the item in a configuration from text in the file's language. Returns false if the text is not valid.
        let put: @Sendable ([UInt8], inout Configuration) -> Bool
        let record: @Sendable (Configuration, RecordStyle) -> PlainValue

        var testDescription: String { item.kind.rawValue }
    }

    static let kinds = [
        Kind(item: ItemID(.gateway, "gateway"), path: ["gateway"]) { json, configuration in
            guard let value = GatewaySettings(record: json) else { return false }
            configuration.gateway = value
            return true
        } record: {
            $0.gateway.record($1)
        },
        Kind(item: ItemID(.vault, "x"), path: ["vaults", "additionalProperties"]) { json, configuration in
            guard var value = VaultServer(record: json) else { return false }
            value.name = "x"
            configuration.vaults = [value]
            return true
        } record: {
            $0.vaults[0].record($1)
        },
        Kind(item: ItemID(.identity, "x"), path: ["identities", "additionalProperties"]) { json, configuration in
            guard var value = NamedIdentity(record: json) else { return false }
            value.name = "x"
            configuration.identities = [value]
            return true
        } record: {
            $0.identities[0].record($1)
        },
        Kind(item: ItemID(.node, "node"), path: ["node"]) { json, configuration in
            configuration.node = NodeSettings(record: json)
            return configuration.node != nil
        } record: {
            $0.node?.record($1) ?? .null
        },
        Kind(item: ItemID(.alerts, "alerts"), path: ["alerts"]) { json, configuration in
            configuration.alerts = AlertSettings(record: json)
            return configuration.alerts != nil
        } record: {
            $0.alerts?.record($1) ?? .null
        },
        Kind(item: ItemID(.issuer, "x"), path: ["issuers", "additionalProperties"]) { json, configuration in
            guard var value = Issuer(record: json) else { return false }
            value.name = "x"
            configuration.issuers = [value]
            return true
        } record: {
            $0.issuers[0].record($1)
        },
        Kind(item: ItemID(.certificate, "x"), path: ["certificates", "additionalProperties"]) { json, configuration in
            guard var value = NamedCertificate(record: json) else { return false }
            value.name = "x"
            configuration.certificates = [value]
            return true
        } record: {
            $0.certificates[0].record($1)
        },
        Kind(
            item: ItemID(.edgeCertificate, "x"), path: ["edge_certificates", "items"],
            fixed: [("name", .string("x"))]
        ) { json, configuration in
            guard let value = EdgeCertificate(record: json) else { return false }
            configuration.edgeCertificates = [value]
            return true
        } record: {
            $0.edgeCertificates[0].record($1)
        },
        Kind(
            item: ItemID(.host, "x.example.com"), path: ["hosts", "items"],
            fixed: [("domain", .string("x.example.com"))], alternatives: ["issuer", "ca_file"]
        ) { json, configuration in
            guard let value = Host(record: json) else { return false }
            configuration.hosts = [value]
            return true
        } record: {
            $0.hosts[0].record($1)
        },
    ]

    @Test("Text and JSON show exactly the differences", arguments: kinds)
    func agreement(_ kind: Kind) throws {
        var generator = try SchemaGenerator(seed: 7)
        let schema = kind.path.reduce(generator.part("properties")) { $0[$1] as? SchemaGenerator.Schema ?? [:] }
        var old: (file: PlainValue, configuration: Configuration)?
        var (pairs, seen) = (0, Set<String>())
        for _ in 0..<1_600 where pairs < 1_200 {
            let file = kind.named(old.map { generator.changed($0.file, schema) } ?? generator.value(schema))
            var configuration = Configuration()
            // Values that the schema allows, but a rule or a range refuses, are skipped.
            guard kind.put(file.json(), &configuration) else { continue }
            if let old {
                pairs += 1
                seen.formUnion(try Self.compare(kind, old.configuration, configuration))
            }
            // A new file has other keys, so that different keys are compared.
            old = generator.numbers.once(in: 20) ? nil : (file, configuration)
        }
        #expect(pairs == 1_200)
        let changing = Self.properties(of: schema, generator).subtracting(kind.alternatives).subtracting(
            kind.fixed.map(\.0))
        #expect(changing.subtracting(seen) == [], "keys that never changed")
    }

    // MARK: One pair

    /// Compares a plan with the real differences. Returns the paths that differ.
    private static func compare(_ kind: Kind, _ old: Configuration, _ new: Configuration) throws -> Set<String> {
        var items = [ItemID(.gateway, "gateway"): StoredItem(owner: .file, record: old.gateway.record(.compact).json())]
        items[kind.item] = StoredItem(owner: .file, record: kind.record(old, .compact).json())
        var plan = Planner(new, against: StateSnapshot(generation: 1, items: items), now: 0).plan()
        plan.changes.removeAll { $0.item != kind.item }

        let expected = differences(kind.record(old, .exact), kind.record(new, .exact))
        let text = String(decoding: PlanTextRenderer().text(plan), as: UTF8.self)
        let bytes = PlanJSONRenderer().json(plan, warnings: .list([]))
        let json = try #require(JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
        let change = (json["changes"] as? [[String: Any]])?.first
        let fields = change?["fields"] as? [[String: Any]] ?? []
        #expect(!text.contains("canary") && !String(decoding: bytes, as: UTF8.self).contains("canary"))
        #expect(
            Set(fields.compactMap { $0["path"] as? String }) == expected && fields.count == expected.count, "\(text)")
        let blocks = try blocks(of: text)
        #expect(blocks.map(\.path) == fields.compactMap { $0["path"] as? String }, "\(text)")
        for (block, field) in zip(blocks, fields) {
            let elements = (before: Self.items(field["before"]), after: Self.items(field["after"]))
            #expect(ShownLines.differ(block.lines, elements: elements), "\(block)")
        }
        return expected
    }

    /// The paths of values that differ, and of objects whose keys have another order.
    private static func differences(_ old: PlainValue, _ new: PlainValue, at path: String = "") -> Set<String> {
        guard old.json() != new.json() else { return [] }
        guard case .object(let before) = old, case .object(let after) = new else {
            return Set(ends(old, at: path) + ends(new, at: path))
        }
        let (left, right) = (before.map(\.key), after.map(\.key))
        let isReordered = left.filter(right.contains) != right.filter(left.contains)
        return Set(left + right).reduce(into: isReordered ? [path] : []) { found, key in
            let path = path.isEmpty ? key : "\(path).\(key)"
            switch (old[key], new[key]) {
            case (let before?, let after?): found.formUnion(differences(before, after, at: path))
            case (let value?, nil), (nil, let value?): found.formUnion(ends(value, at: path))
            case (nil, nil): break
            }
        }
    }

    private static func ends(_ value: PlainValue, at path: String) -> [String] {
        guard case .object(let entries) = value, !entries.isEmpty else { return [path] }
        return entries.flatMap { ends($0.value, at: "\(path).\($0.key)") }
    }

    /// The fields in the text of a plan with one change, each with its lines.
    private static func blocks(of text: String) throws -> [(path: String, lines: [Substring])] {
        var blocks: [(path: String, lines: [Substring])] = []
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropFirst()
        where line.hasPrefix("      ") {
            let rest = line.dropFirst(6)
            if rest.hasPrefix(" ") {
                blocks[blocks.count - 1].lines.append(rest.drop { $0 == " " })
            } else {
                let path = rest.prefix { $0 != " " }
                blocks.append((String(path), [rest.dropFirst(path.count).drop { $0 == " " }]))
            }
        }
        return blocks
    }

    /// The items of a list as texts. Equal items have equal texts. Nil if the value is not a list.
    private static func items(_ value: Any?) -> [String]? {
        (value as? [Any])?.map { item in
            let json = try? JSONSerialization.data(withJSONObject: item, options: [.fragmentsAllowed, .sortedKeys])
            return String(decoding: json ?? Data(), as: UTF8.self)
        }
    }

    /// The paths of all keys that can change and are in records.
    private static func properties(
        of schema: SchemaGenerator.Schema, _ generator: SchemaGenerator, at path: String = ""
    ) -> Set<String> {
        let cases = (schema["oneOf"] as? [any Sendable] ?? []).compactMap { $0 as? SchemaGenerator.Schema }
        guard cases.isEmpty else {
            return cases.reduce(into: []) { $0.formUnion(properties(of: $1, generator, at: path)) }
        }
        guard let properties = schema["properties"] as? SchemaGenerator.Schema else {
            return path.isEmpty ? [] : [path]
        }
        return properties.reduce(into: []) { found, property in
            guard let schema = property.value as? SchemaGenerator.Schema, schema["$ref"] == nil else { return }
            let path = path.isEmpty ? property.key : "\(path).\(property.key)"
            found.formUnion(Self.properties(of: schema, generator, at: path))
        }
    }
}

extension PlanAgreementTests.Kind {
    /// The value with the keys that name the item.
    fileprivate func named(_ value: PlainValue) -> PlainValue {
        guard case .object(let entries) = value, !fixed.isEmpty else { return value }
        let others = entries.filter { entry in !fixed.contains { $0.0 == entry.key } }
        return .map(fixed + others.map { ($0.key, $0.value) })
    }
}
