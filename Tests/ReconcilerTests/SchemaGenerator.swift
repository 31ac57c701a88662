import ConfigModel
import Foundation

/// SplitMix64: numbers that are the same in every run.
struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// Returns true once in this many calls, on average.
    mutating func once(in times: Int) -> Bool { Int.random(in: 0..<times, using: &self) == 0 }
}

/// Makes and changes values of the file's language by the JSON Schema. New keys are covered without a change here. A
/// new kind of text needs a line in `text`.
struct SchemaGenerator {
    /// A part of the schema.
    typealias Schema = [String: any Sendable]

    let root: Schema
    var numbers: SeededNumbers

    init(seed: UInt64) throws {
        let json = try JSONSerialization.jsonObject(with: Data(ConfigurationSchema.json()))
        root = Self.sendable(json) as? Schema ?? [:]
        numbers = SeededNumbers(seed: seed)
    }

    private static func sendable(_ value: Any) -> any Sendable {
        switch value {
        case let object as [String: Any]: object.mapValues(sendable)
        case let list as [Any]: list.map(sendable)
        case let text as String: text
        case let number as NSNumber: number.intValue
        default: ""
        }
    }

    /// The part of the schema for a path of keys in nested objects.
    func part(_ keys: String...) -> Schema { keys.reduce(root) { $0[$1] as? Schema ?? [:] } }

    private func resolved(_ schema: Schema) -> Schema {
        guard let reference = schema["$ref"] as? String, let name = reference.split(separator: "/").last else {
            return schema
        }
        return part("$defs", String(name))
    }

    // MARK: Values

    /// A value that is valid by a schema.
    mutating func value(_ schema: Schema) -> PlainValue {
        let schema = resolved(schema)
        if let text = schema["const"] as? String { return .string(text) }
        if let number = schema["const"] as? Int { return .int(number) }
        if let choices = schema["enum"] as? [any Sendable], let choice = choices.randomElement(using: &numbers) {
            return (choice as? Int).map(PlainValue.int) ?? .string(choice as? String ?? "")
        }
        if let cases = schema["oneOf"] as? [any Sendable] {
            return value(cases.randomElement(using: &numbers) as? Schema ?? [:])
        }
        switch schema["type"] as? String {
        case "boolean": return .bool(numbers.once(in: 2))
        case "integer":
            let (low, high) = (schema["minimum"] as? Int ?? 0, schema["maximum"] as? Int ?? 0)
            return .int(Int.random(in: low...high, using: &numbers))
        case "array":
            let items = schema["items"] as? Schema ?? [:]
            return .list(distinct((0..<Int.random(in: 1...14, using: &numbers)).map { _ in value(items) }))
        case "object" where schema["properties"] == nil:
            let names = Self.headers.shuffled(using: &numbers).prefix(Int.random(in: 0...4, using: &numbers))
            return .map(names.map { ($0, .string(freeText(long: true))) })
        case "object": return object(schema, from: nil)
        default: return .string(text(schema))
        }
    }

    /// An object with properties of the schema. Some properties are taken from `old`.
    private mutating func object(_ schema: Schema, from old: PlainValue?) -> PlainValue {
        let properties = schema["properties"] as? Schema ?? [:]
        let required = Set((schema["required"] as? [any Sendable] ?? []).compactMap { $0 as? String })
        var entries: [(String, PlainValue)] = []
        for key in properties.keys.sorted() {
            let property = properties[key] as? Schema ?? [:]
            if let before = old?[key] {
                if !required.contains(key), numbers.once(in: 12) { continue }
                entries.append((key, numbers.once(in: 4) ? changed(before, property) : before))
            } else if required.contains(key) || numbers.once(in: old == nil ? 4 : 16) {
                entries.append((key, value(property)))
            }
        }
        return .map(entries)
    }

    // MARK: Changes

    /// The value with something changed, in most cases.
    mutating func changed(_ old: PlainValue, _ schema: Schema) -> PlainValue {
        let schema = resolved(schema)
        switch old {
        case .list(var items):
            let item = schema["items"] as? Schema ?? [:]
            for _ in 0..<Int.random(in: 1...3, using: &numbers) {
                switch Int.random(in: 0..<4, using: &numbers) {
                case 0: items.append(value(item))
                case 1: items.insert(value(item), at: Int.random(in: 0...items.count, using: &numbers))
                case 2: if items.count > 1 { items.remove(at: Int.random(in: items.indices, using: &numbers)) }
                default: items.shuffle(using: &numbers)
                }
            }
            return .list(distinct(items))
        case .object(let entries):
            // A value of a union may change to another case.
            guard schema["oneOf"] == nil || numbers.once(in: 3) else { return value(schema) }
            if let cases = schema["oneOf"] as? [any Sendable] {
                let match = cases.compactMap { $0 as? Schema }.first { describes($0, old) } ?? [:]
                return object(match, from: old)
            }
            if schema["properties"] != nil { return object(schema, from: old) }
            return .map(
                entries.shuffled(using: &numbers).map { ($0.key, numbers.once(in: 2) ? $0.value : edited($0.value)) })
        case .string
        where schema["pattern"] == nil && schema["examples"] == nil && schema["enum"] == nil
            && schema["oneOf"] == nil && schema["const"] == nil:
            return edited(old)
        default: return value(schema)
        }
    }

    private func describes(_ schema: Schema, _ value: PlainValue) -> Bool {
        guard case .object(let entries) = value, let properties = schema["properties"] as? Schema else { return false }
        return entries.allSatisfy { entry in
            guard let property = properties[entry.key] as? Schema else { return false }
            guard let constant = property["const"] as? String else { return true }
            return entry.value == .string(constant)
        }
    }

    /// The text with a piece inserted, removed or written in another way.
    private mutating func edited(_ value: PlainValue) -> PlainValue {
        guard case .string(let text) = value else { return value }
        var letters = Array(text)
        let place = Int.random(in: 0...letters.count, using: &numbers)
        switch Int.random(in: 0..<3, using: &numbers) {
        case 0: letters.insert(contentsOf: Self.pieces.randomElement(using: &numbers) ?? "", at: place)
        case 1: if place < letters.count, letters.count > 1 { letters.remove(at: place) }
        default:
            let other = text.decomposedStringWithCanonicalMapping
            letters = Array(other.utf8.elementsEqual(text.utf8) ? text.precomposedStringWithCanonicalMapping : other)
        }
        return .string(String(letters))
    }

    /// The items without duplicates, as some rules require.
    private func distinct(_ items: [PlainValue]) -> [PlainValue] {
        items.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    // MARK: Texts

    private static let headers = [
        "X-Frame-Options", "Content-Security-Policy", "Authorization", "X.Dotted", "Accept", "Via",
    ]
    /// Pieces that a careless renderer would show wrongly.
    private static let pieces = [
        "a", " ", ", ", " → ", "\"", "\\", "\\n", "é", "…", "[", "]", "(none)", "(hidden)", "- ", "true", "\u{200B}",
        "\u{202E}", "\u{A0}", "日本", "; script-src 'self'",
    ]

    /// Any text. It may stand for a secret, so it is marked as one.
    private mutating func freeText(long: Bool) -> String {
        let count =
            long && numbers.once(in: 3)
            ? Int.random(in: 40...120, using: &numbers) : Int.random(in: 1...6, using: &numbers)
        let text = (0..<count).map { _ in Self.pieces.randomElement(using: &numbers) ?? "" }.joined()
        return text.filter { $0 != " " }.isEmpty ? "x" : text.trimmingCharacters(in: .whitespaces)
    }

    private mutating func text(_ schema: Schema) -> String {
        let number = Int.random(in: 1...59, using: &numbers)
        let example = (schema["examples"] as? [any Sendable])?.first as? String
        if (schema["description"] as? String)?.contains("itself") ?? false { return "canary-\(number)" }
        if (schema["description"] as? String)?.contains("environment variable") ?? false { return "NAME_\(number)" }
        switch (example, schema["pattern"] as? String) {
        case (_, "^[0-9a-f]{32}$"): return String(repeating: "\(number % 10)", count: 32)
        case (_, "^[A-Za-z0-9_][A-Za-z0-9._-]*$"): return "name-\(number)"
        case (_, let pattern?) where pattern.hasPrefix("^[!#$"): return "X-\(number)"
        case (_, let pattern?) where pattern.contains("(ms|s|m|h|d)"):
            return numbers.once(in: 3) ? "\(number % 24 + 1)h" : "\(number)s"
        // Every size of the file may have some of these values; a window of HTTP/2 has at least 64 KiB.
        case (_, let pattern?) where pattern.contains("KiB"): return "\(16 * number)KiB"
        case (":443", _): return numbers.once(in: 2) ? ":\(number)" : "127.0.0.\(number):443"
        case ("10.0.0.0/8", _): return numbers.once(in: 3) ? "10.\(number).0.0/16" : "192.0.2.\(number)"
        case ("app.example.com", _), ("example.com", _): return "n\(number).example.com"
        case ("http://127.0.0.1:3000", _):
            return numbers.once(in: 3) ? "unix:/run/\(freeText(long: false))" : "http://10.0.0.\(number):3000"
        case ("node.example.com", _): return numbers.once(in: 2) ? "n\(number).internal" : "10.0.0.\(number)"
        case ("*.clients.example.com", _):
            return numbers.once(in: 2) ? "*.n\(number).internal" : "spiffe://n\(number).internal/ns/*/sa/web"
        case ("edge-1.example.com:8444", _): return "n\(number).example.com:8444"
        case ("app.internal", _): return "n\(number).internal"
        case ("team/pki", _): return "team-\(number)/pki"
        case ("127.0.0.1:53", _): return "127.0.0.\(number):53"
        case ("ops@example.com", _): return "ops\(number)@example.com"
        case ("/healthz", _): return "/healthz/\(number)"
        case ("example/1", _): return "example/\(number)"
        case (let url?, _) where url.hasPrefix("https://") || url.hasPrefix("http://"):
            return "https://n\(number).example.com/dir"
        case ("certs/shop.pem", _), ("stdout", _): return freeText(long: true)
        case (nil, nil): return freeText(long: true)
        case (let example, let pattern): fatalError("no texts for \(example ?? "") \(pattern ?? "")")
        }
    }
}
