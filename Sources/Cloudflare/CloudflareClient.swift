// Cloudflare: its API, as far as certificates go: those of the Origin CA, and certificate packs of the edge. Pure: HTTP,
// waits and time come from the caller, which also keeps what must outlive a crash.

import HTTPClient
import PKI
import Remote

/// A conversation with Cloudflare's API (https://developers.cloudflare.com/api/). Threads may share it.
///
/// What is answered with 429, 5xx or code 1100 was not done, and is asked again for about a minute, as the answer wishes or
/// with growing delays. A call without an answer is repeated only if it could not have arrived, or doing it twice does no harm.
package struct CloudflareClient: Sendable {
    /// Sends a request, as `HTTPClient.send` does.
    package typealias Transport = @Sendable (HTTPRequest) throws(HTTPFailure) -> HTTPResponse

    private let baseURL: String
    private let credential: SecretField
    private let transport: Transport
    private let wait: @Sendable (Duration) -> Void
    private let now: @Sendable () -> Int64

    /// A client.
    ///
    /// - Parameters:
    ///   - baseURL: where the API is, with its path and without a slash at its end.
    ///   - credential: says who asks: a Bearer token, or an Origin CA key in X-Auth-User-Service-Key.
    ///   - wait: waits before another try.
    ///   - now: seconds since 1970, which dates in answers are compared with.
    package init(
        baseURL: String, credential: SecretField, transport: @escaping Transport,
        wait: @escaping @Sendable (Duration) -> Void, now: @escaping @Sendable () -> Int64
    ) {
        self.baseURL = baseURL
        self.credential = credential
        self.transport = transport
        self.wait = wait
        self.now = now
    }

    // MARK: Calls

    /// One call, whose answer's result is a `Result`.
    ///
    /// `finding` looks whether it was done already, where it must not be done twice: before it is repeated after a 5xx, which may
    /// come from who stands between.
    func call<Result: Decodable>(
        _ method: HTTPMethod, _ path: String, body: [UInt8]? = nil, of thing: String,
        finding: (() throws(CloudflareError) -> Result?)? = nil
    ) throws(CloudflareError) -> Result {
        let (answer, envelope): (HTTPResponse, CloudflareEnvelope<Result>) = try exchange(
            method, path, body, thing, finding: finding)
        guard let result = envelope.result else { throw Self.malformed(thing, "'result' is missing", answer) }
        return result
    }

    func exchange<Result: Decodable>(
        _ method: HTTPMethod, _ path: String, _ body: [UInt8]?, _ thing: String,
        finding: (() throws(CloudflareError) -> Result?)? = nil
    ) throws(CloudflareError) -> (answer: HTTPResponse, envelope: CloudflareEnvelope<Result>) {
        let fields = body == nil ? [] : [HTTPField("Content-Type", "application/json")]
        let request = HTTPRequest(
            method, baseURL + path, fields: fields + [HTTPField("Accept", "application/json")],
            authorization: credential, body: body)
        var backoff = Backoff()
        while true {
            let answer: HTTPResponse
            do throws(HTTPFailure) {
                answer = try transport(request)
            } catch {
                // Where there is something to do about it, trying again is no use.
                let isRepeatable = method != .post || !error.mayHaveArrived
                guard isRepeatable, error.hint == nil, let delay = backoff.delay(retryAfter: nil) else {
                    throw .noAnswer(error)
                }
                wait(delay)
                continue
            }
            if let refusal = refusal(of: answer) {
                let retryAfter = refusal.retryAfterSeconds.map { Duration.seconds($0) }
                guard refusal.isTransient, let delay = backoff.delay(retryAfter: retryAfter) else {
                    throw .refused(refusal)
                }
                wait(delay)
                if refusal.mayHideSuccess, let finding, let found = try finding() {
                    return (answer, CloudflareEnvelope(result: found, resultInfo: nil))
                }
                continue
            }
            do throws(RemoteJSON.Fault) {
                return (answer, try RemoteJSON.decode(CloudflareEnvelope<Result>.self, from: answer.body))
            } catch {
                throw Self.malformed(thing, error.reason, answer)
            }
        }
    }

    /// The refusal that an answer is; nil for one that tells of success, or is no envelope.
    private func refusal(of answer: HTTPResponse) -> CloudflareRefusal? {
        let verdict = try? RemoteJSON.decode(CloudflareVerdict.self, from: answer.body)
        guard !(200...299 ~= answer.status) || verdict?.success == false else { return nil }
        return CloudflareRefusal(
            status: answer.status, complaints: verdict?.complaints ?? [], ray: answer.ray,
            retryAfterSeconds: RemoteTime.retryAfter(answer.value(of: "Retry-After"), now: now())?.components.seconds)
    }

    private static func malformed(_ thing: String, _ reason: String, _ answer: HTTPResponse) -> CloudflareError {
        .malformed(thing, reason: reason, status: answer.status, ray: answer.ray)
    }
}

extension HTTPResponse {
    /// The number of the answer, by which Cloudflare's support finds it.
    fileprivate var ray: String? { value(of: "CF-Ray")?.oneLine(limit: 60) }
}
