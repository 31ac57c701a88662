import ACME
import ConfigModel
import HTTPClient
import PKI
import State
import SystemPackage

/// Sends ACME requests with libcurl. Redirects are not followed, and the size and time of an answer are limited.
struct ACMEConnection: ACMEEdge {
    private static let wishTimeout = Duration.seconds(5)

    private let client: HTTPClient

    /// Makes a connection. Each call takes at most `timeout`.
    init(
        _ settings: ACMEIssuer, secrets: SecretReader, timeout: Duration = .seconds(30)
    ) throws(IssuanceFailure) {
        do throws(HTTPFailure) {
            let trust: HTTPClient.Trust =
                settings.caFile.map { .authoritiesFile(secrets.resolve($0).string) } ?? .system
            client = try HTTPClient(trust: trust, userAgent: "aegis", timeout: timeout)
        } catch {
            throw IssuanceFailure(error.reason, hint: error.hint)
        }
    }

    func send(_ request: ACMEHTTPRequest) throws -> ACMEHTTPResponse {
        let method: HTTPMethod =
            switch request.method {
            case .get: .get
            case .head: .head
            case .post: .post
            }
        var fields = request.accept.map { [HTTPField("Accept", $0)] } ?? []
        if method == .post { fields.append(HTTPField("Content-Type", "application/jose+json")) }
        var message = HTTPRequest(
            method, request.url.text, fields: fields, body: method == .post ? request.body : nil)
        if request.isWish { message.timeout = Self.wishTimeout }
        // A process that wants to end waits only for requests that may change something at the CA, since the journal
        // must get their answers. The process begins to wait when such a request is about to be sent.
        if method == .post { message.mayBeSent = StepGate.resume }
        let response: HTTPResponse
        do {
            response = try StepGate.interrupting {
                try WaitNote.during("no answer yet") { () throws(HTTPFailure) in try client.send(message) }
            }
        } catch let failure as HTTPFailure {
            throw Failure(failure: failure)
        }
        return ACMEHTTPResponse(
            status: response.status, location: response.value(of: "Location"),
            replayNonce: response.value(of: "Replay-Nonce"), retryAfter: response.value(of: "Retry-After"),
            links: response.values(of: "Link").flatMap(WebLink.links), contentType: response.value(of: "Content-Type"),
            body: response.body)
    }

    /// Makes an `HTTPFailure` usable as an `ACMEEdgeError`.
    struct Failure: ACMEEdgeError, CustomStringConvertible {
        let failure: HTTPFailure
        var mayHaveArrived: Bool { failure.mayHaveArrived }
        // Failures with a hint persist until the operator acts, so the call is not repeated.
        var isTransient: Bool { failure.hint == nil }
        var description: String { failure.description }
    }
}
