import HTTPClient
import PKI
import Remote

/// One call of Vault's API.
struct VaultCall {
    let method: HTTPMethod
    let path: VaultPath
    var query = ""
    var body: [UInt8]?
    /// What the call does, for messages. The text continues "Vault refuses to".
    let action: String
    /// Secrets in the body. Vault might quote them in its answer.
    var secrets: [SecretBytes] = []
    /// Whether a 404 without a message is a normal answer. Vault answers so if a secret does not exist.
    var mayBeMissing = false
}

/// Vault's answer before its JSON is read. Its status is 2xx, or 404 if `VaultCall.mayBeMissing` allows that; for other
/// statuses `send` throws an error.
struct VaultReply {
    let status: Int
    let body: [UInt8]
    /// Whether Vault may have done the call twice, since the answer to an earlier try was lost.
    let mayBeDoneTwice: Bool
    /// Secrets of the call. The answer might quote them.
    let secrets: [SecretBytes]

    /// Reads the answer's JSON. Throws an error of the kind `malformed` if it has another form. `action` is the call's,
    /// for messages.
    func read<Content: Decodable>(
        _ type: Content.Type, for action: String
    ) throws(VaultError) -> VaultEnvelope<Content> {
        do throws(RemoteJSON.Fault) {
            return try RemoteJSON.decode(VaultEnvelope<Content>.self, from: body)
        } catch {
            throw malformed(error.reason, for: action)
        }
    }

    func malformed(
        _ reason: String, for action: String, hint: String? = "is the address that of Vault's API?"
    ) -> VaultError {
        let isHTML = body.first { $0 > 0x20 } == UInt8(ascii: "<")
        return VaultError(
            .malformed,
            "Vault's answer to the call to \(action) can't be used (HTTP \(status)): \(isHTML ? "it is HTML" : reason)",
            hint: hint, mayBeDone: true)
    }
}

/// Makes single calls to a Vault server. Threads may share a client.
///
/// A call is tried at most three times (`VaultPatience`): it is repeated if there is no answer, or if the server is in
/// trouble (412, 429, or 5xx except 501). This also applies to calls that are not idempotent. So such a call may be
/// done twice, which `VaultReply.mayBeDoneTwice` shows.
package struct VaultClient: Sendable {
    package typealias Transport = @Sendable (HTTPRequest) throws(HTTPFailure) -> HTTPResponse
    package typealias Connect = @Sendable (TLSCredential?) throws(HTTPFailure) -> Transport

    let server: VaultServer
    let now: @Sendable () -> Int64
    private let connect: Connect
    private let transport: Transport
    private let wait: @Sendable (Duration, _ cause: String) -> Void
    private let jitter: UInt64

    /// - Parameters:
    ///   - jitter: A number that differs between clients, so that they don't repeat calls at the same time.
    ///   - wait: Sleeps before a call is repeated. `cause` says why the last answer was of no use, without secrets.
    ///   - now: Returns seconds since 1970.
    /// - Throws: If the address or the CAs can't be used.
    package init(
        _ server: VaultServer, jitter: UInt64, wait: @escaping @Sendable (Duration, _ cause: String) -> Void,
        now: @escaping @Sendable () -> Int64
    ) throws(VaultError) {
        try self.init(server, jitter: jitter, wait: wait, now: now, connect: server.connect)
    }

    /// Makes a client whose connections come from the caller. `connect` gets the client certificate to show; nil for
    /// none.
    package init(
        _ server: VaultServer, jitter: UInt64, wait: @escaping @Sendable (Duration, _ cause: String) -> Void,
        now: @escaping @Sendable () -> Int64, connect: @escaping Connect
    ) throws(VaultError) {
        self.server = server
        self.jitter = jitter
        self.wait = wait
        self.now = now
        self.connect = connect
        transport = try Self.connected(connect, nil)
    }

    private static func connected(
        _ connect: Connect, _ credential: TLSCredential?
    ) throws(VaultError) -> Transport {
        do throws(HTTPFailure) {
            return try connect(credential)
        } catch {
            throw VaultError(.settings, "Vault's server can't be used: \(error.reason)", hint: error.hint)
        }
    }

    /// Makes a call. With a client certificate, the call has a connection of its own.
    func send(
        _ call: VaultCall, token: SecretBytes?, showing credential: TLSCredential? = nil
    ) throws(VaultError) -> VaultReply {
        let transport = if let credential { try Self.connected(connect, credential) } else { self.transport }
        var request = request(call, token)
        let secrets = call.secrets + [token].compactMap(\.self)
        var patience = VaultPatience(budget: server.timeout * 2, jitter: jitter)
        let start = ContinuousClock.now
        var mayBeDone = false
        while true {
            request.timeout = patience.budget - (ContinuousClock.now - start)
            do throws(VaultError) {
                let answer = try attempt(request, of: call, hiding: secrets, transport)
                return VaultReply(
                    status: answer.status, body: answer.body, mayBeDoneTwice: mayBeDone, secrets: secrets)
            } catch {
                mayBeDone = mayBeDone || error.mayBeDone
                let spent = ContinuousClock.now - start
                guard error.isTransient, let delay = patience.delay(retryAfter: error.retryAfter, spent: spent) else {
                    throw error.with(mayBeDone: mayBeDone)
                }
                wait(delay, error.status.map { "HTTP \($0)" } ?? error.reason)
            }
        }
    }

    private func request(_ call: VaultCall, _ token: SecretBytes?) -> HTTPRequest {
        // The field X-Vault-Request shows Vault's agents and proxies that the call does not come from a tricked browser
        // (cross-site request forgery).
        var fields = [HTTPField("Accept", "application/json"), HTTPField("X-Vault-Request", "true")]
        if let namespace = server.namespace { fields.append(HTTPField("X-Vault-Namespace", namespace)) }
        if call.body != nil { fields.append(HTTPField("Content-Type", "application/json")) }
        return HTTPRequest(
            call.method, "\(server.address)/v1/\(call.path.text)\(call.query)", fields: fields,
            authorization: token.map { SecretField("X-Vault-Token", $0) }, body: call.body)
    }

    /// Sends a request. If the server redirects to another URL of its own API, sends it once more to that URL.
    private func attempt(
        _ request: HTTPRequest, of call: VaultCall, hiding secrets: [SecretBytes], _ transport: Transport
    ) throws(VaultError) -> HTTPResponse {
        var request = request
        var hasFollowed = false
        while true {
            let answer: HTTPResponse
            do throws(HTTPFailure) {
                answer = try transport(request)
            } catch {
                throw VaultError(error, call.action)
            }
            if 300...399 ~= answer.status {
                let location = answer.value(of: "Location") ?? ""
                guard !hasFollowed, let url = ownURL(location) else { throw redirection(location, of: call) }
                request.url = url
                hasFollowed = true
                continue
            }
            if call.mayBeMissing, VaultRefusal.isOnlyMissing(answer) { return answer }
            if let refusal = VaultRefusal(answer, hiding: secrets, now: now()) {
                throw refusal.error(call.action, namespace: server.namespace, hasToken: request.authorization != nil)
            }
            return answer
        }
    }

    /// The URL that a redirect leads to, if it belongs to this server's API; otherwise nil.
    private func ownURL(_ location: String) -> String? {
        location.hasPrefix("\(server.address)/v1/") ? location : nil
    }

    private func redirection(_ location: String, of call: VaultCall) -> VaultError {
        // Only scheme and host are shown. The path gives no new information, and the query might quote the request's
        // query.
        let place = location.split(separator: "/", maxSplits: 3).prefix(2).joined(separator: "//").oneLine(limit: 200)
        return VaultError(
            .redirected, "Vault redirects the call to \(call.action) to '\(place)', where nothing was sent",
            hint:
                "a standby that does not forward calls answers so: the address must be that of the active server, or of"
                + " a balancer that finds it")
    }
}
