import ConfigModel
import State

/// How a kind of value is written as JSON, and described to programs by JSON Schema. Answers and the OpenAPI document
/// are made by the same forms, so who changes one changes the other.
struct JSONForm<Value>: Sendable {
    let schema: PlainValue
    /// The schemas that `schema` refers to, by name.
    var definitions: [String: PlainValue] = [:]
    let write: @Sendable (Value) -> PlainValue
}

extension JSONForm where Value == String {
    static let text = JSONForm(schema: .map([("type", .string("string"))])) { .string($0) }

    /// A text that is one of a few words.
    static func word(_ words: [String]) -> JSONForm {
        JSONForm(schema: .map([("enum", .list(words.map(PlainValue.string)))])) { .string($0) }
    }
}

extension JSONForm where Value == Int {
    static let integer = JSONForm(schema: .map([("type", .string("integer"))])) { .int($0) }
}

extension JSONForm where Value == Bool {
    static let flag = JSONForm(schema: .map([("type", .string("boolean"))])) { .bool($0) }
}

extension JSONForm where Value == Int64 {
    /// A time in seconds since 1970, written by RFC 3339 in UTC and without a fraction.
    static let time = JSONForm(schema: .map([("type", .string("string")), ("format", .string("date-time"))])) {
        .string(UTCTime.rfc3339($0))
    }
}

extension JSONForm where Value == PlainValue {
    /// Any value. The schema says only its JSON type, such as "object".
    static func any(_ type: String) -> JSONForm { JSONForm(schema: .map([("type", .string(type))])) { $0 } }
}

extension JSONForm {
    static func list<Item>(of item: JSONForm<Item>) -> JSONForm where Value == [Item] {
        JSONForm(
            schema: .map([("type", .string("array")), ("items", item.schema)]), definitions: item.definitions
        ) { .list($0.map(item.write)) }
    }

    /// The value, or null.
    static func optional<Wrapped>(_ form: JSONForm<Wrapped>) -> JSONForm where Value == Wrapped? {
        JSONForm(
            schema: .map([("anyOf", .list([form.schema, .map([("type", .string("null"))])]))]),
            definitions: form.definitions
        ) { $0.map(form.write) ?? .null }
    }
}

/// A member of an object in an answer: its name, its schema, and how it is written.
struct JSONMember<Value>: Sendable {
    let name: String
    let schema: PlainValue
    let definitions: [String: PlainValue]
    let write: @Sendable (Value) -> PlainValue

    init(
        name: String, schema: PlainValue, definitions: [String: PlainValue],
        write: @escaping @Sendable (Value) -> PlainValue
    ) {
        self.name = name
        self.schema = schema
        self.definitions = definitions
        self.write = write
    }

    init<Part>(
        _ name: String, _ form: JSONForm<Part>, _ summary: String, _ part: @escaping @Sendable (Value) -> Part
    ) {
        self.name = name
        guard case .object(let entries) = form.schema else { preconditionFailure("a schema is an object") }
        schema = .object(entries + [PlainValue.Entry("description", .string(summary))])
        definitions = form.definitions
        write = { form.write(part($0)) }
    }
}

extension JSONForm {
    /// An object. The OpenAPI document describes it once, under `name`. All its members are always present.
    static func object(_ name: String, _ summary: String, _ members: [JSONMember<Value>]) -> JSONForm {
        var definitions = members.reduce(into: [String: PlainValue]()) { all, member in
            all.merge(member.definitions) { first, _ in first }
        }
        definitions[name] = .map([
            ("type", .string("object")), ("description", .string(summary)),
            ("properties", .map(members.map { ($0.name, $0.schema) })),
            ("required", .list(members.map { .string($0.name) })),
        ])
        return JSONForm(
            schema: .map([("$ref", .string("#/components/schemas/\(name)"))]), definitions: definitions
        ) { value in .map(members.map { ($0.name, $0.write(value)) }) }
    }
}

extension JSONForm {
    /// An object with `members`, and with further members, which `entries` returns and `others` describes.
    static func object(
        _ name: String, _ summary: String, _ members: [JSONMember<Value>], others: String,
        _ entries: @escaping @Sendable (Value) -> [PlainValue.Entry]
    ) -> JSONForm {
        let form = object(name, "\(summary). \(others)", members)
        return JSONForm(schema: form.schema, definitions: form.definitions) { value in
            guard case .object(let own) = form.write(value) else { return .object(entries(value)) }
            return .object(own + entries(value))
        }
    }
}

/// A part of a list, and the place where the next part begins.
struct Page<Item> {
    var items: [Item]
    /// Nil for the last part.
    var next: Cursor?
}

extension Page: Sendable where Item: Sendable {}

extension JSONForm {
    static func page<Item>(of item: JSONForm<Item>) -> JSONForm where Value == Page<Item> {
        JSONForm(
            schema: .map([
                ("type", .string("object")),
                (
                    "properties",
                    .map([
                        ("items", .map([("type", .string("array")), ("items", item.schema)])),
                        (
                            "next",
                            .map([
                                ("type", .list([.string("string"), .string("null")])),
                                (
                                    "description",
                                    .string("The value of 'cursor' for the next part; null after the last")
                                ),
                            ])
                        ),
                    ])
                ), ("required", .list([.string("items"), .string("next")])),
            ]), definitions: item.definitions
        ) { page in
            .map([
                ("items", .list(page.items.map(item.write))),
                ("next", page.next.map { .string($0.text) } ?? .null),
            ])
        }
    }
}
