// Cloudflare: the part of Cloudflare's API for Origin CA certificates and for certificate packs of the edge. The module
// is pure: the caller passes in HTTP, waits and time, and keeps the journal that survives a crash.

import HTTPClient
import PKI
import Remote

/// A client of Cloudflare's API (https://developers.cloudflare.com/api/). Threads may share a client.
///
/// A call that Cloudflare answers with 429, 5xx or error code 1100 is repeated for about a minute. The delays come from
/// the answer's Retry-After field, or grow from 1 s. A call without an answer is repeated only if the request can't
/// have arrived or its method is not POST.
package struct CloudflareClient: Sendable {
    package typealias Transport = @Sendable (HTTPRequest) throws(HTTPFailure) -> HTTPResponse

    private let baseURL: String
    private let credential: SecretField
    private let transport: Transport
    private let wait: @Sendable (Duration, _ cause: String) -> Void
    private let now: @Sendable () -> Int64
    private let patience: Duration

    /// - Parameters:
    ///   - baseURL: The API's address, with a path and without a final slash.
    ///   - credential: A Bearer token, or an Origin CA key in the field X-Auth-User-Service-Key.
    ///   - wait: Sleeps before a call is repeated. `cause` says why the last answer was of no use, without quoting the
    ///     answer.
    ///   - now: Returns seconds since 1970, to compute the delay from a date in Retry-After.
    ///   - patience: How long the waits and the failed tries of a call may take together, before the last try.
    package init(
        baseURL: String, credential: SecretField, transport: @escaping Transport,
        wait: @escaping @Sendable (Duration, _ cause: String) -> Void, now: @escaping @Sendable () -> Int64,
        patience: Duration = .seconds(60)
    ) {
        self.baseURL = baseURL
        self.credential = credential
        self.transport = transport
        self.wait = wait
        self.now = now
        self.patience = patience
    }

    /// Makes a call and returns the `result` in the answer's envelope.
    ///
    /// Calls that must not be done twice pass `finding`. If such a call fails with a 5xx, Cloudflare may have done it
    /// nevertheless. Before the call is repeated, `finding` looks for the call's result.
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
        var backoff = Backoff(budget: patience)
        while true {
            let answer: HTTPResponse
            let begun = now()
            do throws(HTTPFailure) {
                answer = try transport(request)
            } catch {
                backoff.note(.seconds(now() - begun))
                // Failures with a hint persist until the operator acts, so the call is not repeated.
                let isRepeatable = method != .post || !error.mayHaveArrived
                guard isRepeatable, error.hint == nil, let delay = backoff.delay(retryAfter: nil) else {
                    throw .noAnswer(error)
                }
                wait(delay, error.reason)
                continue
            }
            if let refusal = refusal(of: answer) {
                backoff.note(.seconds(now() - begun))
                let retryAfter = refusal.retryAfterSeconds.map { Duration.seconds($0) }
                // Without a search, a second call might make a second object.
                let isRepeatable = method != .post || !refusal.leavesDoubt || finding != nil
                guard refusal.isTransient, isRepeatable, let delay = backoff.delay(retryAfter: retryAfter) else {
                    throw .refused(refusal)
                }
                wait(delay, "HTTP \(refusal.status)")
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

    /// Returns the refusal in an answer. Returns nil for a status of 2xx, unless the envelope has `"success": false`.
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
    /// The field CF-Ray, by which Cloudflare's support finds a call.
    fileprivate var ray: String? { value(of: "CF-Ray")?.oneLine(limit: 60) }
}
