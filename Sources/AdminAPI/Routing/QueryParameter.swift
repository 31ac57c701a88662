import ConfigModel
import Remote

/// A parameter that a route takes in the query.
struct QueryParameter: Sendable {
    let name: String
    let summary: String
    let schema: PlainValue
    /// Reads a value. Nil if it is invalid.
    let read: @Sendable (String) -> QueryValue?
    /// What a value must be, as the end of a sentence that begins with the parameter's name, such as "must be a name".
    let expected: String

    static func text(
        _ name: String, _ summary: String, expected: String, read: @escaping @Sendable (String) -> String?
    ) -> QueryParameter {
        QueryParameter(
            name: name, summary: summary, schema: .map([("type", .string("string"))]),
            read: { read($0).map(QueryValue.text) }, expected: expected)
    }

    static func word(_ name: String, _ summary: String, _ words: [String]) -> QueryParameter {
        QueryParameter(
            name: name, summary: summary, schema: .map([("enum", .list(words.map(PlainValue.string)))]),
            read: { words.contains($0) ? .text($0) : nil }, expected: "must be one of \(words.joined(separator: ", "))")
    }

    static func integer(_ name: String, _ summary: String, in range: ClosedRange<Int>, default standard: Int?)
        -> QueryParameter
    {
        QueryParameter(
            name: name, summary: summary,
            schema: .map(
                [
                    ("type", .string("integer")), ("minimum", .int(range.lowerBound)),
                    ("maximum", .int(range.upperBound)),
                ]
                    + (standard.map { [("default", .int($0))] } ?? [])),
            read: { text in
                // `Int` would read "+7" and "007", too.
                Int(text).flatMap { range.contains($0) && "\($0)" == text ? .integer($0) : nil }
            },
            expected: "must be a number from \(range.lowerBound) to \(range.upperBound)")
    }

    static func time(_ name: String, _ summary: String) -> QueryParameter {
        QueryParameter(
            name: name, summary: summary,
            schema: .map([("type", .string("string")), ("format", .string("date-time"))]),
            read: { RemoteTime.rfc3339($0).map { .integer(Int($0)) } },
            expected: "must be a time such as 2026-11-22T16:00:00Z")
    }

    /// The parameters `limit` and `cursor` of a list whose cursors have this number of parts.
    static func page(_ parts: Int = 1) -> [QueryParameter] {
        [
            .integer("limit", "The most items to answer", in: 1...1000, default: 100),
            QueryParameter(
                name: "cursor", summary: "Where the list continues: 'next' of the previous page",
                schema: .map([("type", .string("string"))]), read: { Cursor($0, parts: parts).map(QueryValue.cursor) },
                expected: "must be the value of 'next'"),
        ]
    }
}

enum QueryValue: Sendable, Equatable {
    case text(String)
    case integer(Int)
    case cursor(Cursor)
}

/// The parameters of a request, checked.
struct Query: Sendable {
    private var values: [String: QueryValue] = [:]

    init(_ given: [(name: String, value: String)], _ known: [QueryParameter]) throws(Problem) {
        var errors: [(place: Problem.Place, detail: String)] = []
        for (name, value) in given {
            guard let parameter = known.first(where: { $0.name == name }) else {
                let near = Suggestion.nearest(to: name, in: known.map(\.name))
                let names = known.map(\.name).sorted().joined(separator: ", ")
                // The name is the client's, so it is quoted only if it is short and plain.
                let shown = name.utf8.count <= 40 && name.utf8.allSatisfy { 0x21...0x7E ~= $0 } ? name : "?"
                errors.append(
                    (
                        .parameter(shown),
                        near.map { "is unknown here; did you mean '\($0)'?" }
                            ?? (known.isEmpty
                                ? "is unknown here: there are no parameters" : "is unknown here; there are: \(names)")
                    ))
                continue
            }
            if values[name] != nil {
                errors.append((.parameter(name), "must come once"))
            } else if let read = parameter.read(value) {
                values[name] = read
            } else {
                errors.append((.parameter(name), parameter.expected))
            }
        }
        guard errors.isEmpty else { throw Problem(.invalid, "The query has faults.", errors: errors) }
    }

    func text(_ name: String) -> String? { if case .text(let text) = values[name] { text } else { nil } }

    func integer(_ name: String) -> Int? { if case .integer(let number) = values[name] { number } else { nil } }

    var limit: Int { integer("limit") ?? 100 }

    var cursor: Cursor? { if case .cursor(let cursor) = values["cursor"] { cursor } else { nil } }
}
