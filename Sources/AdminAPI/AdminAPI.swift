import ConfigModel
import Gateway
import Operations
import PKI
import State
import Synchronization

// AdminAPI: answers requests to the admin API under /api/v1, and to its page.
//
// `Routing/` lists the endpoints: each `Route` is data, from which the OpenAPI document follows. `Access/` decides who
// may ask. `Resources/` reads the state for each route, and `Answers/` writes JSON. `Page/` is the page for people,
// whose forms do what routes do. Requests and answers are values. All else that an answer depends on, such as the state
// and the time, comes from `Dependencies`. The gateway owns connections and threads.

package final class AdminAPI: AdminService {
    /// What the API needs besides the request.
    package struct Dependencies: Sendable {
        /// Opens the state for the time of a call. Returns false if there is no state yet.
        package var openStore: @Sendable (_ body: (any StateStore) throws -> Void) throws -> Bool
        /// The present time, in seconds since 1970.
        package var now: @Sendable () -> Int64
        /// Reads the local CA's certificate. `directory` is the directory of the CA's files as the configuration names
        /// it. A relative path starts at `base`. Returns nil if there is no certificate, or if it can't be read.
        package var localAuthority: @Sendable (_ directory: String, _ base: String) -> Certificate?
        package var version: String
        package var writing: Writing
        let reports = StatusReports()

        package init(
            version: String, writing: Writing, now: @escaping @Sendable () -> Int64,
            localAuthority: @escaping @Sendable (String, String) -> Certificate?,
            openStore: @escaping @Sendable ((any StateStore) throws -> Void) throws -> Bool
        ) {
            self.version = version
            self.writing = writing
            self.now = now
            self.localAuthority = localAuthority
            self.openStore = openStore
        }

        /// Opens the state for the time of a call. Returns nil if there is no state yet.
        func withStore<Result>(_ body: (any StateStore) throws -> Result) throws -> Result? {
            var result: Result?
            _ = try openStore { result = try body($0) }
            return result
        }
    }

    /// What changes need besides the request.
    package struct Writing: Sendable {
        /// The key that the state is sealed with.
        package var masterKey: @Sendable (any StateStore) throws -> MasterKey
        /// Calls `body` while this process holds the lock for applying. If the lock is not free before `deadline`,
        /// returns false without calling `body`.
        package var underLock:
            @Sendable (
                _ store: any StateStore, _ deadline: ContinuousClock.Instant, _ body: (LeaseHolder) throws -> Void
            ) throws -> Bool
        /// Waits, for a few seconds at most, until this gateway serves a revision.
        package var awaitService: @Sendable (_ store: any StateStore, _ revision: Int) -> Void

        package init(
            masterKey: @escaping @Sendable (any StateStore) throws -> MasterKey,
            underLock:
                @escaping @Sendable (
                    any StateStore, ContinuousClock.Instant, (LeaseHolder) throws -> Void
                ) throws -> Bool,
            awaitService: @escaping @Sendable (any StateStore, Int) -> Void
        ) {
            self.masterKey = masterKey
            self.underLock = underLock
            self.awaitService = awaitService
        }
    }

    private let dependencies: Dependencies
    private let gate: Gate
    private let page: AdminPage
    /// When to try again while the state can't be read, in seconds.
    private static let retry = [(name: "Retry-After", value: "5")]

    package init(_ dependencies: Dependencies) {
        self.dependencies = dependencies
        gate = Gate(now: dependencies.now)
        page = AdminPage(dependencies, gate)
    }

    package func answer(_ request: AdminRequest) -> AdminResponse {
        var response: AdminResponse
        do {
            guard let path = RequestPath(request.target) else {
                throw Problem(.badPath, "Write the path without '//', '.', '..' and needless percent-encoding.")
            }
            guard path.segments.first == "api" else { return page.answer(request, path) }
            response = try respond(to: request, path)
        } catch {
            return Self.problem(error).response(to: request.requestID)
        }
        // A stream has no version that a client could have already.
        if response.status == 200, response.stream == nil, !request.isChange {
            response.addTag(unlessIn: request.values(of: "if-none-match"))
        }
        response.fields += [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]
        return response
    }

    package func parts(of streams: [any AdminStream]) -> [AdminStreamPart] {
        let streams = streams.compactMap { $0 as? EventStream }
        // While the state can't be read, the streams wait.
        let parts = try? dependencies.withStore { store in
            try streams.map { try $0.part(from: store, gate) }
        }
        return (parts ?? nil) ?? streams.map { _ in .bytes([]) }
    }

    /// What a client is told of an error.
    static func problem(_ error: any Error) -> Problem {
        switch error {
        case let problem as Problem: problem
        case let error as StateError:
            Problem(.unavailable, "The state can't be used: \(reason(error)).", fields: retry)
        default: Problem(.internal, "The gateway's log says more.")
        }
    }

    /// What a client is told while there is no state.
    static let noState = Problem(.unavailable, "There is no state yet: aegis-apply makes it.", fields: retry)

    /// A reason without the path of the state, which is nobody's business but the operator's.
    private static func reason(_ error: StateError) -> String {
        switch error {
        case .unreadable: "it is damaged"
        case .failed, .notFile: "reading or writing it fails"
        case .tooNew: "a newer version of Aegis wrote it"
        case .leaseLost, .changedMeanwhile: "another process has changed it"
        case .busy: "another process has locked it"
        }
    }

    /// The order of the checks reveals nothing to strangers: paths and items are looked up only for callers who may
    /// know of them.
    private func respond(to request: AdminRequest, _ path: RequestPath) throws -> AdminResponse {
        let isChange = request.isChange
        if isChange { try gate.checkOrigin(request) }
        let credentials = try gate.credentials(of: request)
        let response = try dependencies.withStore { store in
            let caller = try gate.identify(credentials, request, in: store)
            if isChange {
                try gate.checkPage(request, credentials, token: request.values(of: "x-csrf-token").first)
            }
            return try carryOut(request, path, isChange, caller, store)
        }
        guard let response else { throw Self.noState }
        return response
    }

    private func carryOut(
        _ request: AdminRequest, _ path: RequestPath, _ isChange: Bool, _ caller: Caller, _ store: any StateStore
    ) throws -> AdminResponse {
        let match = RouteMatch(request.method, path, among: Routes.all)
        // If no route matches, the method decides which scope is needed.
        var scope = isChange ? AccessToken.Scope.write : .read
        if case .found(let route, _) = match { scope = route.scope }
        if scope == .write { try gate.checkChange(request) }
        guard scope == .read || caller.scope == .write else {
            throw Problem(.insufficientScope, "'\(caller.name)' may only read.")
        }
        switch match {
        case .nothing: throw Problem(.notFound, "Nothing has this path.")
        case .otherMethods(let methods):
            let list = methods.joined(separator: ", ")
            throw Problem(.methodNotAllowed, "This path takes \(list).", fields: [("Allow", list)])
        case .found(let route, let parameters):
            let call = Call(
                path: route.path, query: try Query(path.parameters, route.query),
                body: try isChange ? body(of: request, for: route) : .object([]),
                context: RequestContext(
                    request: request, caller: caller, store: store, now: dependencies.now(),
                    dependencies: dependencies, parameters: parameters))
            return try route.carryOut(call)
        }
    }

    /// The JSON of a change. A browser can't send the types of `Route.bodyTypes` to another origin without asking that
    /// origin first (a CORS preflight).
    private func body(of request: AdminRequest, for route: Route) throws(Problem) -> PlainValue {
        guard route.body != nil || !request.body.isEmpty else { return .object([]) }
        let types = request.values(of: "content-type").map { value in
            value.prefix { $0 != ";" }.trimmingBlanks.lowercased()
        }
        guard types.count == 1, route.bodyTypes.contains(types[0]) else {
            throw Problem(.unsupportedType, "Send the body with 'Content-Type: \(route.bodyTypes[0])'.")
        }
        guard types[0].hasSuffix("json") else { return .object([]) }
        let value: PlainValue
        do throws(JSONText.Fault) {
            value = try JSONText.value(of: request.body)
        } catch {
            throw Problem(
                .invalid, "The body can't be used: at byte \(error.offset), \(error.reason).",
                errors: [(.pointer(error.pointer), error.reason)])
        }
        guard route.body != nil || value == .object([]) else {
            throw Problem(.invalid, "This takes no body.", errors: [(.pointer(""), "must be left out")])
        }
        return value
    }
}

extension AdminResponse {
    /// The entity tag of the body, in quotes.
    var tag: String { "\"\(Base64URL.text(Array(Digest.sha256(body).prefix(16))))\"" }

    /// Adds the body's tag, and leaves the body out if the client has it (RFC 9110 section 13.1.2).
    fileprivate mutating func addTag(unlessIn values: [String]) {
        let tag = tag
        fields.append(("ETag", tag))
        let known = values.flatMap { $0.split(separator: ",") }.map { word in
            let word = word.drop { $0 == " " }
            return String((word.hasPrefix("W/") ? word.dropFirst(2) : word).prefix { $0 != " " })
        }
        guard known.contains(tag) || known.contains("*") else { return }
        status = 304
        fields.removeAll { $0.name.hasPrefix("Content-") }
        body = []
    }
}
