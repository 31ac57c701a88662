import Gateway
import Operations
import PKI
import State
import Synchronization

// AdminAPI: answers requests to the admin API under /api/v1.
//
// `Routing/` says what there is: each `Route` is data, from which the OpenAPI document follows. `Access/` decides who may
// ask. `Resources/` reads the state for each route, and `Answers/` writes JSON. A request is a value, an answer is a
// value, and what they need of the world comes from `Surroundings`. The gateway owns connections and threads.

package final class AdminAPI: AdminService {
    /// What the API needs besides the request.
    package struct Surroundings: Sendable {
        /// Opens the state for the time of a call. Returns nil if there is no state yet.
        package var withStore: @Sendable (_ body: (any StateStore) throws -> AdminResponse) throws -> AdminResponse?
        /// The present time, in seconds since 1970.
        package var now: @Sendable () -> Int64
        /// Reads the certificate of the local CA. The configuration names the directory of its files, which may be
        /// relative to another directory. Returns nil if there is none.
        package var localAuthority: @Sendable (_ directory: String, _ base: String) -> Certificate?
        package var version: String

        package init(
            version: String, now: @escaping @Sendable () -> Int64,
            localAuthority: @escaping @Sendable (String, String) -> Certificate?,
            withStore: @escaping @Sendable ((any StateStore) throws -> AdminResponse) throws -> AdminResponse?
        ) {
            self.version = version
            self.now = now
            self.localAuthority = localAuthority
            self.withStore = withStore
        }
    }

    private let surroundings: Surroundings
    private let wrongTokens = Mutex(WrongTokens())
    /// How old the record of a token's last use may be, in seconds: each record is a write to the state.
    private static let useSeconds: Int64 = 60
    /// When to try again while the state can't be read, in seconds.
    private static let retry = [(name: "Retry-After", value: "5")]

    package init(_ surroundings: Surroundings) { self.surroundings = surroundings }

    package func answer(_ request: AdminRequest) -> AdminResponse {
        var response: AdminResponse
        do {
            response = try respond(to: request)
        } catch let problem as Problem {
            return problem.response(to: request.requestID)
        } catch let error as StateError {
            return Problem(.unavailable, "The state can't be used: \(Self.reason(error)).", fields: Self.retry)
                .response(to: request.requestID)
        } catch {
            return Problem(.internal, "The gateway's log says more.").response(to: request.requestID)
        }
        if response.status == 200 { response.addTag(unlessIn: request.values(of: "if-none-match")) }
        response.fields += [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]
        return response
    }

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

    /// The checks come in an order that shows strangers nothing: what there is below the API is looked up only for those
    /// who may know.
    private func respond(to request: AdminRequest) throws -> AdminResponse {
        guard let path = RequestPath(request.target) else {
            throw Problem(.badPath, "Write the path without '//', '.', '..' and needless percent-encoding.")
        }
        let isChange = !["GET", "HEAD", "OPTIONS"].contains(request.method)
        guard !isChange || OriginRule.isMet(by: request) else {
            throw Problem(.foreignOrigin, "Only the admin page itself may change anything by a browser.")
        }
        // A client that has shown a certificate needs no token.
        let text = try request.holder == nil ? bearer(of: request) : ""
        let response = try surroundings.withStore { store in
            let identity =
                try request.holder.map { Identity(name: $0.name, scope: $0.mayChange ? .write : .read) }
                ?? identify(text, request, in: store)
            guard request.mayChange || !isChange else {
                throw Problem(.readOnly, "gateway.admin says 'api: read'.")
            }
            return try carryOut(request, path, isChange, identity, store)
        }
        guard let response else {
            throw Problem(.unavailable, "There is no state yet: aegis-apply makes it.", fields: Self.retry)
        }
        return response
    }

    private func carryOut(
        _ request: AdminRequest, _ path: RequestPath, _ isChange: Bool, _ identity: Identity, _ store: any StateStore
    ) throws -> AdminResponse {
        let method = request.method == "HEAD" ? "GET" : request.method
        let found = Routes.all.compactMap { route in route.path.match(path.segments).map { (route, $0) } }
        let match = found.first { $0.0.method == method }
        // What can't be found needs the scope that it would probably need.
        let scope = match?.0.scope ?? (isChange ? .write : .read)
        guard scope == .read || identity.scope == .write else {
            throw Problem(.insufficientScope, "'\(identity.name)' may only read.")
        }
        guard let (route, parameters) = match else {
            guard !found.isEmpty else { throw Problem(.notFound, "Nothing has this path.") }
            let methods = found.flatMap { route, _ in route.method == "GET" ? ["GET", "HEAD"] : [route.method] }
            throw Problem(
                .methodNotAllowed, "This path takes \(methods.joined(separator: ", ")).",
                fields: [("Allow", methods.joined(separator: ", "))])
        }
        let call = Call(
            parameters: parameters, query: try Query(path.parameters, route.query), identity: identity, store: store,
            now: surroundings.now(), surroundings: surroundings)
        return try route.carryOut(call)
    }

    // MARK: Access

    private static let challenge = [(name: "WWW-Authenticate", value: "Bearer realm=\"aegis\"")]

    /// The text of the request's token. A network that has sent too many wrong tokens must wait, whatever it sends now.
    private func bearer(of request: AdminRequest) throws(Problem) -> String {
        let credentials = Credentials(request)
        guard credentials != .none else {
            throw Problem(
                .unauthorized, "Send a token as 'Authorization: Bearer …'; 'aegis-apply admin token create' makes one.",
                fields: Self.challenge)
        }
        let now = surroundings.now()
        if let seconds = wrongTokens.withLock({ $0.wait(of: request.network, now: now) }) {
            throw Problem(
                .tooManyTries, "Too many wrong tokens came from this address.", fields: [("Retry-After", "\(seconds)")])
        }
        guard case .bearer(let text) = credentials else { throw wrongToken(request) }
        return text
    }

    private func identify(_ text: String, _ request: AdminRequest, in store: any StateStore) throws -> Identity {
        let now = surroundings.now()
        guard let token = Credentials.token(text, among: try store.accessTokens()), !token.isExpired(at: now) else {
            throw wrongToken(request)
        }
        if (token.lastUsedAt ?? 0) + Self.useSeconds <= now {
            // A state that can't be written now may still be read.
            try? store.noteUse(ofToken: token.name, at: now)
        }
        return Identity(name: token.name, scope: token.scope)
    }

    private func wrongToken(_ request: AdminRequest) -> Problem {
        wrongTokens.withLock { $0.note(request.network, now: surroundings.now()) }
        return Problem(
            .unauthorized, "The token is not good: it is unknown, has expired or was revoked.",
            fields: [("WWW-Authenticate", "Bearer realm=\"aegis\", error=\"invalid_token\"")])
    }
}

extension AdminResponse {
    /// Adds the body's tag, and leaves the body out if the client has it (RFC 9110 section 13.1.2).
    fileprivate mutating func addTag(unlessIn values: [String]) {
        let tag = "\"\(Base64URL.text(Array(Digest.sha256(body).prefix(16))))\""
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
