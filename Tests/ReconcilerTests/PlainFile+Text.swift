import ConfigModel
import State

/// Writes a file's text, in a style of chance: in blocks or in braces, with the keys in any order, with comments.
struct PlainFileText {
    private enum Node {
        case leaf(PlainValue)
        case map([(key: String, value: Node)])
    }

    private static let sections: [(kind: ItemKind, key: String, isList: Bool)] = [
        (.vault, "vaults", false), (.identity, "identities", false), (.issuer, "issuers", false),
        (.certificate, "certificates", false), (.edgeCertificate, "edge_certificates", true), (.host, "hosts", true),
    ]

    private var numbers: SeededNumbers
    private(set) var text = ""

    init(_ file: PlainFile, seed: UInt64) {
        numbers = SeededNumbers(seed: seed)
        var parts = ["version: 1\n"]
        for item in file.items where item.kind.isSingle { parts.append("\(item.kind.rawValue):\(body(item, at: 2))") }
        for section in Self.sections {
            let items = file.items.filter { $0.kind == section.kind }
            guard !items.isEmpty else { continue }
            let entries = items.map { item in
                section.isList ? "  -" + body(item, at: 4) : "  \(item.name):" + body(item, at: 4)
            }
            parts.append("\(section.key):\n" + entries.joined())
        }
        for part in parts.shuffled(using: &numbers) { text += part + (numbers.once(in: 4) ? "# a remark\n" : "") }
    }

    private mutating func body(_ item: PlainFile.Item, at indent: Int) -> String {
        var root: [(key: String, value: Node)] = []
        for path in item.fields.keys.sorted().shuffled(using: &numbers) {
            guard let value = item.fields[path] else { continue }
            // An inline secret stands where a reference would.
            let keys = path.split(separator: ".").map(String.init).filter { $0 != "inline" }
            Self.put(.leaf(value), keys[...], in: &root)
        }
        if root.isEmpty { return " {}\n" }
        return numbers.once(in: 3) ? " \(flow(.map(root)))\n" : "\n" + block(root, at: indent)
    }

    private static func put(_ value: Node, _ keys: ArraySlice<String>, in map: inout [(key: String, value: Node)]) {
        guard let key = keys.first else { return }
        let index = map.firstIndex { $0.key == key }
        guard keys.count > 1 else { return map.append((key, value)) }
        var inner: [(key: String, value: Node)] = []
        if let index, case .map(let entries) = map[index].value { inner = entries }
        put(value, keys.dropFirst(), in: &inner)
        if let index { map[index].value = .map(inner) } else { map.append((key, .map(inner))) }
    }

    private mutating func block(_ map: [(key: String, value: Node)], at indent: Int) -> String {
        let space = String(repeating: " ", count: indent)
        return map.map { key, value -> String in
            let remark = numbers.once(in: 30) ? "  # why" : ""
            switch value {
            case .map(let entries) where !numbers.once(in: 3):
                return "\(space)\(key):\(remark)\n" + block(entries, at: indent + 2)
            case .leaf(.list(let items)) where !items.isEmpty && numbers.once(in: 3):
                return "\(space)\(key):\(remark)\n" + items.map { "\(space)  - \(scalar($0))\n" }.joined()
            default: return "\(space)\(key): \(flow(value))\(remark)\n"
            }
        }.joined()
    }

    private mutating func flow(_ node: Node) -> String {
        switch node {
        case .leaf(.list(let items)): return "[" + items.map { scalar($0) }.joined(separator: ", ") + "]"
        case .leaf(let value): return scalar(value)
        case .map(let entries):
            return "{ " + entries.map { "\($0.key): \(flow($0.value))" }.joined(separator: ", ") + " }"
        }
    }

    private mutating func scalar(_ value: PlainValue) -> String {
        let json = String(decoding: value.json(), as: UTF8.self)
        guard case .string(let text) = value, !text.isEmpty, text.first?.isLetter == true,
            text.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "._-/".contains($0)) }),
            !["true", "false", "null", "none", "yes", "no", "on", "off"].contains(text), numbers.once(in: 2)
        else { return json }
        return text
    }
}
