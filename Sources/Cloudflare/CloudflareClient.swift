// Cloudflare: the part of its API that concerns certificates of the Origin CA and certificate packs of the edge. Pure:
// HTTP, waits and time come from the caller, who also keeps the journal that outlives a crash.

import HTTPClient
import PKI
import Remote

/// A client of Cloudflare's API (https://developers.cloudflare.com/api/). Threads may share it.
///
/// A call that is answered with 429, 5xx or code 1100 is repeated for about a minute, with the delays that the answer
/// asks for or with growing ones. A call without an answer is repeated only if it can't have arrived, or if doing it
/// twice is harmless.
package struct CloudflareClient: Sendable {
    /// Sends a request, as `HTTPClient.send` does.
    package typealias Transport = @Sendable (HTTPRequest) throws(HTTPFailure) -> HTTPResponse

    private let baseURL: String
    private let credential: SecretField
    private let transport: Transport
    private let wait: @Sendable (Duration) -> Void
    private let now: @Sendable () -> Int64

    /// Makes a client.
    ///
    /// - Parameters:
    ///   - baseURL: the API's address, with its path and without a slash at its end.
    ///   - credential: a Bearer token, or an Origin CA key in X-Auth-User-Service-Key.
    ///   - wait: waits before another try.
    ///   - now: seconds since 1970, with which dates in answers are compared.
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

    /// Makes a call and reads the result in its answer.
    ///
    /// `finding` is for calls that must not be done twice. Before such a call is repeated after a 5xx, which a proxy
    /// may have sent, `finding` checks whether Cloudflare has done it.
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
                // A failure with a hint needs the operator, so trying again is no use.
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

    /// The refusal in an answer; nil for a status of 2xx, unless the envelope says that the call failed.
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
    /// The answer's CF-Ray field, a number by which Cloudflare's support finds the call.
    fileprivate var ray: String? { value(of: "CF-Ray")?.oneLine(limit: 60) }
}
