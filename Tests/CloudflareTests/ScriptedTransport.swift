import HTTPClient
import PKI
import Synchronization

@testable import Cloudflare

/// A server that gives scripted answers and records the requests.
final class ScriptedTransport: Sendable {
    enum Step: Sendable {
        case answer(Int, String, [HTTPField] = [])
        case lost(mayHaveArrived: Bool)
    }

    private let steps: Mutex<[Step]>
    private let seen = Mutex<[HTTPRequest]>([])
    private let waits = Mutex<[Duration]>([])
    /// How long each call takes, in seconds.
    private let callSeconds: Int64

    init(_ steps: [Step], callSeconds: Int64 = 0) {
        self.steps = Mutex(steps)
        self.callSeconds = callSeconds
    }

    var requests: [HTTPRequest] { seen.withLock { $0 } }
    var calls: [String] { requests.map { "\($0.method.rawValue) \($0.url)" } }
    var delays: [Int64] { waits.withLock { $0.map(\.components.seconds) } }

    var client: CloudflareClient {
        CloudflareClient(
            baseURL: "https://api.test/v4", credential: .bearer(SecretBytes(Array("planted".utf8))),
            transport: { [self] (request) throws(HTTPFailure) in try answer(request) },
            wait: { [self] delay, _ in waits.withLock { $0.append(delay) } },
            now: { [self] in 1_800_000_000 + Int64(requests.count) * callSeconds })
    }

    private func answer(_ request: HTTPRequest) throws(HTTPFailure) -> HTTPResponse {
        seen.withLock { $0.append(request) }
        let step = steps.withLock { $0.isEmpty ? nil : $0.removeFirst() }
        switch step {
        case .answer(let status, let body, let fields):
            return HTTPResponse(
                status: status, fields: fields + [HTTPField("CF-Ray", "8f00-TXL")], body: Array(body.utf8))
        case .lost(let mayHaveArrived):
            throw HTTPFailure("api.test: gone", mayHaveArrived: mayHaveArrived)
        case nil: throw HTTPFailure("nothing more is written down", hint: "stop", mayHaveArrived: false)
        }
    }

    static func refusal(_ code: Int, _ message: String = "no") -> String {
        #"{"success":false,"errors":[{"code":\#(code),"message":"\#(message)"}],"messages":[],"result":null}"#
    }

    static func success(_ result: String, info: String = "{}") -> String {
        #"{"success":true,"errors":[],"messages":[],"result":\#(result),"result_info":\#(info)}"#
    }
}
