import ConfigModel
import Gateway
import Operations
import State

/// One endpoint of the API, as data: its method and path, who may use it, and what it answers. The OpenAPI document
/// follows from the routes.
struct Route: Sendable, Addressed {
    let method: String
    let path: PathPattern
    /// The scope that a token must have.
    let scope: AccessToken.Scope
    /// The name that generated clients give the call.
    let name: String
    let summary: String
    let query: [QueryParameter]
    /// The JSON Schema of the body that is sent; nil for no body.
    var body: PlainValue?
    /// The media types that the body may have.
    var bodyTypes = ["application/json", "application/merge-patch+json"]
    let answer: Answer
    let carryOut: @Sendable (Call) throws -> AdminResponse

    /// A successful answer, as the OpenAPI document describes it.
    struct Answer: Sendable {
        var status = 200
        let summary: String
        let type: String
        let schema: PlainValue
        var definitions: [String: PlainValue] = [:]
    }

    /// A route that reads a value and answers it as JSON.
    static func reading<Value>(
        _ path: PathPattern, _ name: String, _ summary: String, query: [QueryParameter] = [],
        _ form: JSONForm<Value>, _ read: @escaping @Sendable (Call) throws -> Value
    ) -> Route {
        Route(
            method: "GET", path: path, scope: .read, name: name, summary: summary, query: query,
            answer: Answer(
                summary: summary, type: "application/json", schema: form.schema, definitions: form.definitions)
        ) { call in .json(form.write(try read(call))) }
    }

    /// A route that changes an item of the state.
    static func changing(
        _ method: String, _ path: PathPattern, _ name: String, _ summary: String, query: [QueryParameter] = [],
        status: Int, body: PlainValue? = nil, _ make: @escaping @Sendable (Call) throws -> OwnedItems.Change
    ) -> Route {
        Route(
            method: method, path: path, scope: .write, name: name, summary: summary, query: query, body: body,
            answer: Answer(
                status: status, summary: ChangeAnswer.summary, type: "application/json",
                schema: ChangeAnswer.form.schema, definitions: ChangeAnswer.form.definitions)
        ) { call in try ChangeRun(call, action: name, status: status, make).run() }
    }

    /// A route that answers a file.
    static func file(
        _ path: PathPattern, _ name: String, _ summary: String, type: String,
        _ read: @escaping @Sendable (Call) throws -> (name: String, content: [UInt8])
    ) -> Route {
        Route(
            method: "GET", path: path, scope: .read, name: name, summary: summary, query: [],
            answer: Answer(summary: summary, type: type, schema: .map([("type", .string("string"))]))
        ) { call in
            let file = try read(call)
            return AdminResponse(
                status: 200,
                fields: [
                    ("Content-Type", type), ("Content-Disposition", "attachment; filename=\"\(file.name)\""),
                ], body: file.content)
        }
    }
}

/// A request for a route, with what its answer may be made of.
@dynamicMemberLookup
struct Call {
    let path: PathPattern
    let query: Query
    /// The JSON that was sent; an empty object for a route that takes none.
    let body: PlainValue
    let context: RequestContext

    subscript<Value>(dynamicMember member: KeyPath<RequestContext, Value>) -> Value { context[keyPath: member] }
}

extension AdminResponse {
    static func json(_ value: PlainValue) -> AdminResponse {
        AdminResponse(
            status: 200, fields: [("Content-Type", "application/json")], body: value.json() + [UInt8(ascii: "\n")])
    }
}
