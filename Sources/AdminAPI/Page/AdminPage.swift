import ConfigModel
import Gateway
import Operations
import State

/// The page for people at a browser. It shows problems and all items, and its forms do what the API's routes do.
///
/// The server writes whole pages, and each works without script. A browser gets them only with the cookie of a session.
/// A link from `aegis-apply admin login` opens the session.
struct AdminPage: Sendable {
    private let dependencies: AdminAPI.Dependencies
    private let gate: Gate

    init(_ dependencies: AdminAPI.Dependencies, _ gate: Gate) {
        self.dependencies = dependencies
        self.gate = gate
    }

    private static let routes: [PageRoute] =
        [
            OverviewPage.routes, HostPages.routes, CertificatePages.routes, OrderPages.routes, HistoryPages.routes,
            TrustPage.routes,
        ]
        .flatMap(\.self)

    func answer(_ request: AdminRequest, _ path: RequestPath) -> AdminResponse {
        do {
            if let asset = PageAssets.answer(to: request, path) { return asset }
            if let login = try LoginPages(dependencies, gate).answer(request, path) { return login }
            return try respond(to: request, path)
        } catch {
            return Self.failure(AdminAPI.problem(error), request)
        }
    }

    private func respond(to request: AdminRequest, _ path: RequestPath) throws -> AdminResponse {
        let credentials = Credentials(request)
        guard case .session(let secret) = credentials else {
            return try LoginPages(dependencies, gate).loginIsNeeded()
        }
        let isChange = request.isChange
        if isChange { try gate.checkOrigin(request) }
        let answer = try dependencies.withStore { store in
            let caller: Caller
            do {
                caller = try gate.identify(credentials, request, in: store)
            } catch let problem as Problem where problem.kind == .unauthorized {
                return try LoginPages.loginIsNeeded(in: store, hadSession: true)
            }
            let form = try PageForm(request)
            if isChange {
                try gate.checkPage(request, credentials, token: form[PageForm.changeToken] ?? request.changeToken)
                try gate.checkChange(request)
            }
            let context = RequestContext(
                request: request, caller: caller, store: store, now: dependencies.now(), dependencies: dependencies)
            switch RouteMatch(request.method, path, among: Self.routes) {
            case .nothing: throw Problem(.notFound, "Nothing has this address.")
            case .otherMethods: throw Problem(.methodNotAllowed, "This address can't be used like that.")
            case .found(let route, let parameters):
                var call = PageCall(
                    query: path.parameters, form: form, changeToken: SessionCookie.changeToken(of: secret),
                    latestEvent: try EventQuery.newest(in: store), context: context)
                call.context.parameters = parameters
                return try route.answer(call)
            }
        }
        guard let answer else { throw AdminAPI.noState }
        return answer
    }

    private static func failure(_ problem: Problem, _ request: AdminRequest) -> AdminResponse {
        PageShell.page(
            problem.kind.title,
            """
            <h1>\(problem.kind.title)</h1>
            <p>\(problem.detail)</p>
            <p class="quiet">Request \(request.requestID)</p>
            <p><a href="/">To the overview</a></p>
            """, status: problem.kind.status, fields: problem.fields)
    }
}

extension AdminRequest {
    /// The change token that a script has sent.
    fileprivate var changeToken: String? { values(of: "x-csrf-token").first }
}

/// One address of the page.
struct PageRoute: Sendable, Addressed {
    let method: String
    let path: PathPattern
    let answer: @Sendable (PageCall) throws -> AdminResponse

    static func get(_ path: PathPattern, _ answer: @escaping @Sendable (PageCall) throws -> AdminResponse) -> PageRoute
    {
        PageRoute(method: "GET", path: path, answer: answer)
    }

    /// A page with a form for a change. Throws a problem if the configuration does not allow changes.
    static func form(_ path: PathPattern, _ answer: @escaping @Sendable (PageCall) throws -> AdminResponse) -> PageRoute
    {
        get(path) { call in
            guard call.mayChange else { throw Problem.readOnly }
            return try answer(call)
        }
    }

    static func post(_ path: PathPattern, _ answer: @escaping @Sendable (PageCall) throws -> AdminResponse) -> PageRoute
    {
        PageRoute(method: "POST", path: path, answer: answer)
    }
}

/// A request for a page, with what the page is made of.
@dynamicMemberLookup
struct PageCall {
    let query: [(name: String, value: String)]
    let form: PageForm
    /// What forms send to show that they are ours.
    let changeToken: String
    /// The number of the last event before the page was made; 0 if there is none.
    let latestEvent: Int64
    var context: RequestContext

    subscript<Value>(dynamicMember member: KeyPath<RequestContext, Value>) -> Value { context[keyPath: member] }

    func query(_ name: String) -> String? { query.first { $0.name == name }?.value }

    /// Whether the configuration lets the page change anything.
    var mayChange: Bool { context.request.mayChange }

    /// A whole page around `content`. Its script replaces the parts with `data-live` after each event later than
    /// `latestEvent`.
    func page(_ title: String, _ content: HTML, status: Int = 200) -> AdminResponse {
        PageShell.page(title, content, status: status, navigation: PageShell.navigation(self), event: latestEvent)
    }

    /// Carries out the API's route with this name. `body` is the JSON that a client of the API would send.
    func carryOut(
        _ name: String, _ parameters: [String: String] = [:], _ body: PlainValue = .object([]),
        query: [(name: String, value: String)] = []
    ) throws -> AdminResponse {
        let (route, call) = try call(name, parameters, body, query: query)
        return try route.carryOut(call)
    }

    /// The API's route with this name, and the call for its `carryOut`.
    func call(
        _ name: String, _ parameters: [String: String] = [:], _ body: PlainValue = .object([]),
        query: [(name: String, value: String)] = []
    ) throws -> (route: Route, call: Call) {
        guard let route = Routes.all.first(where: { $0.name == name }) else {
            preconditionFailure("no route '\(name)'")
        }
        var context = context
        context.parameters = parameters
        // A form without script can't send a header field, so it has the tag in a hidden field.
        if let tag = form[PageForm.tag] { context.request.fields.append(("if-match", tag)) }
        return (route, Call(path: route.path, query: try Query(query, route.query), body: body, context: context))
    }

    /// The hidden fields of a form that changes an item. Their tag makes the API refuse the change if the item is no
    /// longer as the page shows it. `route` is the name of the route that reads the item. The script keeps the tag up
    /// to date, so this suits only forms that show none of the item's values.
    func tagFields(_ route: String, _ id: String) throws -> HTML {
        "\(tokenField)<input type=\"hidden\" name=\"\(PageForm.tag)\" value=\"\(try tag(route, id))\" data-live=\"tag\">"
    }

    /// The present tag of an item. `route` is the name of the route that reads the item.
    func tag(_ route: String, _ id: String) throws -> String { try carryOut(route, ["id": id]).tag }

    /// The hidden field that each form of the page has.
    var tokenField: HTML { "<input type=\"hidden\" name=\"\(PageForm.changeToken)\" value=\"\(changeToken)\">" }
}

extension AdminResponse {
    /// Sends the browser to another page of ours, after a change.
    static func redirect(_ target: String, fields: [(name: String, value: String)] = []) -> AdminResponse {
        AdminResponse(status: 303, fields: [("Location", target), ("Cache-Control", "no-store")] + fields)
    }
}
