/// A piece of JSON Schema (draft 2020-12), with the named definitions it refers to.
struct SchemaFragment: Sendable {
    private(set) var entries: [PlainValue.Entry]
    private(set) var definitions: [String: PlainValue]

    init(_ entries: [(String, PlainValue)], definitions: [String: PlainValue] = [:]) {
        self.entries = entries.map { PlainValue.Entry($0.0, $0.1) }
        self.definitions = definitions
    }

    var value: PlainValue { .object(entries) }

    /// A reference to this fragment, which is defined under a name.
    func defined(as name: String) -> SchemaFragment {
        var definitions = definitions
        definitions[name] = value
        return SchemaFragment([("$ref", .string("#/$defs/\(name)"))], definitions: definitions)
    }

    /// This fragment with keywords added at the front. A keyword that exists already is replaced.
    func adding(_ keywords: [(String, PlainValue)]) -> SchemaFragment {
        var result = self
        let names = Set(keywords.map(\.0))
        result.entries = keywords.map { PlainValue.Entry($0.0, $0.1) } + entries.filter { !names.contains($0.key) }
        return result
    }

    static func string(
        _ description: String, pattern: String? = nil, examples: [String] = [], keywords: [(String, PlainValue)] = []
    ) -> SchemaFragment {
        var entries: [(String, PlainValue)] = [("type", .string("string")), ("description", .string(description))]
        if let pattern { entries.append(("pattern", .string(pattern))) }
        if !examples.isEmpty { entries.append(("examples", .list(examples.map(PlainValue.string)))) }
        return SchemaFragment(entries + keywords)
    }

    /// A number with a unit. With `allowsZero`, a bare zero is valid too.
    static func quantity(_ description: String, unitPattern: String, example: String, allowsZero: Bool)
        -> SchemaFragment
    {
        let pattern = allowsZero ? "^(0|[0-9]+\(unitPattern))$" : "^0*[1-9][0-9]*\(unitPattern)$"
        let text = string(description, pattern: pattern, examples: [example])
        return allowsZero ? oneOf([text, SchemaFragment([("const", .int(0))])]) : text
    }

    static func list(of item: SchemaFragment, allowsEmpty: Bool, atMost maximum: Int) -> SchemaFragment {
        var entries: [(String, PlainValue)] = [("type", .string("array")), ("items", item.value)]
        if !allowsEmpty { entries.append(("minItems", .int(1))) }
        if maximum < .max { entries.append(("maxItems", .int(maximum))) }
        return SchemaFragment(entries, definitions: item.definitions)
    }

    static func oneOf(_ fragments: [SchemaFragment]) -> SchemaFragment {
        SchemaFragment([("oneOf", .list(fragments.map(\.value)))], definitions: merged(fragments))
    }

    /// An object with these properties and no others.
    static func object(
        _ description: String, properties: [(String, SchemaFragment)], required: [String]
    ) -> SchemaFragment {
        var entries: [(String, PlainValue)] = [
            ("type", .string("object")), ("description", .string(description)),
            ("properties", .map(properties.map { ($0.0, $0.1.value) })),
        ]
        if !required.isEmpty { entries.append(("required", .list(required.map(PlainValue.string)))) }
        entries.append(("additionalProperties", .bool(false)))
        return SchemaFragment(entries, definitions: merged(properties.map(\.1)))
    }

    /// An object whose keys all match a pattern.
    static func dictionary(of item: SchemaFragment, keyPattern: String) -> SchemaFragment {
        SchemaFragment(
            [
                ("type", .string("object")),
                ("propertyNames", .map([("pattern", .string(keyPattern))])),
                ("additionalProperties", item.value),
            ], definitions: item.definitions)
    }

    private static func merged(_ fragments: [SchemaFragment]) -> [String: PlainValue] {
        fragments.reduce(into: [:]) { $0.merge($1.definitions) { first, _ in first } }
    }
}
