import ConfigModel

/// The description of the API for programs (OpenAPI 3.1), made from the routes.
enum OpenAPIDocument {
    static let route: Route = .reading(
        "/api/v1/openapi.json", "getDescription", "This description of the API (OpenAPI 3.1)", .any("object")
    ) { make(Routes.all, version: $0.dependencies.version) }

    static func make(_ routes: [Route], version: String) -> PlainValue {
        let paths = routes.map(\.path.text).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
        var schemas = routes.reduce(into: ["Problem": problem]) { all, route in
            all.merge(route.answer.definitions) { first, _ in first }
        }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        schemas.sort { $0.0 < $1.0 }
        return .map([
            ("openapi", .string("3.1.0")),
            (
                "info",
                .map([
                    ("title", .string("The admin API of Aegis")), ("version", .string(version)),
                    (
                        "description",
                        .string("Times are RFC 3339 in UTC. HEAD is answered as GET. Errors are problems by RFC 9457.")
                    ),
                ])
            ),
            ("security", .list([.map([("token", .list([]))])])),
            (
                "paths",
                .map(
                    paths.map { path in
                        (
                            path,
                            .map(
                                routes.filter { $0.path.text == path }.map {
                                    ($0.method.lowercased(), operation($0, among: routes))
                                })
                        )
                    })
            ),
            (
                "components",
                .map([
                    (
                        "securitySchemes",
                        .map([("token", .map([("type", .string("http")), ("scheme", .string("bearer"))]))])
                    ), ("schemas", .map(schemas)),
                ])
            ),
        ])
    }

    private static func operation(_ route: Route, among routes: [Route]) -> PlainValue {
        let inPath = route.path.parameters.map { name in
            PlainValue.map([
                ("name", .string(name)), ("in", .string("path")), ("required", .bool(true)),
                ("schema", .map([("type", .string("string"))])),
            ])
        }
        let inQuery = route.query.map { parameter in
            PlainValue.map([
                ("name", .string(parameter.name)), ("in", .string("query")),
                ("description", .string(parameter.summary)), ("schema", parameter.schema),
            ])
        }
        let content = PlainValue.map([(route.answer.type, .map([("schema", route.answer.schema)]))])
        let good = PlainValue.map(
            [("description", .string(route.answer.summary))]
                + (route.answer.status == 204 ? [] : [("content", content)]) + links(of: route, among: routes))
        let others: [(String, PlainValue)] =
            route.method != "GET"
            ? [] : [("304", .map([("description", .string("Not changed since the client's copy (If-None-Match)"))]))]
        let body: [(String, PlainValue)] =
            route.body.map { schema in
                [
                    (
                        "requestBody",
                        .map([
                            ("required", .bool(true)),
                            ("content", .map([(route.bodyTypes[0], .map([("schema", schema)]))])),
                        ])
                    )
                ]
            } ?? []
        return .map(
            [
                ("operationId", .string(route.name)), ("summary", .string(route.summary)),
                ("description", .string("Needs a token of the scope '\(route.scope.rawValue)' or wider.")),
                ("parameters", .list(inPath + inQuery + (route.scope == .write ? inFields : []))),
            ] + body + [
                ("responses", .map([("\(route.answer.status)", good)] + others + [("default", failed)]))
            ])
    }

    /// The links from the answer of a route that creates an item: to the routes that have the item's id in their paths.
    private static func links(of route: Route, among routes: [Route]) -> [(String, PlainValue)] {
        guard route.method == "POST", route.answer.status == 201 else { return [] }
        let users = routes.filter { other in
            other.path.parameters == ["id"]
                && route.path.text.hasPrefix(other.path.text.prefix { $0 != "{" }.dropLast())
        }
        let links = users.map { other in
            (
                other.name,
                PlainValue.map([
                    ("operationId", .string(other.name)), ("parameters", .map([("id", .string("$response.body#/id"))])),
                ])
            )
        }
        return [("links", .map(links))]
    }

    /// The header fields that a request for a change may have.
    private static let inFields = [
        ("If-Match", "The ETag of the item: the change is refused if the item has another ETag by now"),
        ("Idempotency-Key", "A text of the client's own: a request that is repeated with it is carried out once"),
    ].map { name, summary in
        PlainValue.map([
            ("name", .string(name)), ("in", .string("header")), ("description", .string(summary)),
            ("schema", .map([("type", .string("string"))])),
        ])
    }

    private static let failed = PlainValue.map([
        ("description", .string("Why the request was not carried out")),
        (
            "content",
            .map([
                (
                    "application/problem+json",
                    .map([("schema", .map([("$ref", .string("#/components/schemas/Problem"))]))])
                )
            ])
        ),
    ])

    private static let problem: PlainValue = {
        let text = PlainValue.map([("type", .string("string"))])
        let number = PlainValue.map([("type", .string("integer"))])
        let fault = PlainValue.map([
            ("type", .string("object")),
            (
                "properties",
                .map([("pointer", text), ("parameter", text), ("line", number), ("column", number), ("detail", text)])
            ),
            ("required", .list([.string("detail")])),
        ])
        return .map([
            ("type", .string("object")), ("description", .string("Why a request was not carried out (RFC 9457)")),
            (
                "properties",
                .map([
                    ("type", .map([("enum", .list(Problem.Kind.allCases.map { .string(Problem.type($0)) }))])),
                    ("title", text), ("status", number), ("detail", text),
                    ("request_id", text),
                    ("errors", .map([("type", .string("array")), ("items", fault)])),
                ])
            ),
            ("required", .list(["type", "title", "status", "request_id"].map(PlainValue.string))),
        ])
    }()
}
