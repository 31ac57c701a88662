import HTTPClient
import PKI
import Synchronization

@testable import Vault

/// A server that gives scripted answers and records the requests.
final class ScriptedVault: Sendable {
    enum Step: Sendable {
        case answer(Int, String, [HTTPField] = [])
        case lost(mayHaveArrived: Bool)
    }

    private let steps: Mutex<[Step]>
    private let seen = Mutex<[HTTPRequest]>([])
    private let waits = Mutex<[Duration]>([])
    private let time = Mutex<Int64>(1_800_000_000)

    init(_ steps: [Step]) { self.steps = Mutex(steps) }

    var requests: [HTTPRequest] { seen.withLock { $0 } }
    var calls: [String] {
        requests.map { request in
            let token = request.authorization.map { String(decoding: $0.value.plainCopy(), as: UTF8.self) }
            return
                "\(request.method.rawValue) \(request.url.dropFirst("https://vault.test:8200/v1/".count)) \(token ?? "-")"
        }
    }
    var delays: [Duration] { waits.withLock { $0 } }
    var now: Int64 { time.withLock { $0 } }
    func advance(_ seconds: Int64) { time.withLock { $0 += seconds } }
    func add(_ more: Step...) { steps.withLock { $0 += more } }

    func client(namespace: String? = nil) throws -> VaultClient {
        try VaultClient(
            VaultServer(address: "https://vault.test:8200/", namespace: namespace), jitter: 0,
            wait: { [self] delay, _ in waits.withLock { $0.append(delay) } }, now: { [self] in now },
            connect: { [self] (_) throws(HTTPFailure) in
                { (request) throws(HTTPFailure) in try self.answer(request) }
            })
    }

    /// A session that logs in by AppRole.
    func session(namespace: String? = nil) throws -> VaultSession {
        VaultSession(
            try client(namespace: namespace),
            login: VaultLogin(.appRole(roleID: secret("planted-role"), secretID: secret(" planted-secret\n"))),
            jitter: 0)
    }

    private func answer(_ request: HTTPRequest) throws(HTTPFailure) -> HTTPResponse {
        seen.withLock { $0.append(request) }
        switch steps.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) {
        case .answer(let status, let body, let fields):
            return HTTPResponse(status: status, fields: fields, body: Array(body.utf8))
        case .lost(let mayHaveArrived): throw HTTPFailure("vault.test:8200: gone", mayHaveArrived: mayHaveArrived)
        case nil: throw HTTPFailure("nothing more is written down", hint: "stop", mayHaveArrived: false)
        }
    }

    static func token(_ name: String, seconds: Int64 = 600, isRenewable: Bool = true) -> Step {
        .answer(
            200,
            #"{"data":null,"auth":{"client_token":"\#(name)","lease_duration":\#(seconds),"renewable":\#(isRenewable),"num_uses":0}}"#
        )
    }

    static let denied = Step.answer(403, #"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#)
    static let alive = Step.answer(200, #"{"data":{"id":"planted","ttl":500,"creation_ttl":600,"renewable":true}}"#)
    static let issuers = Step.answer(200, #"{"data":{"keys":[]}}"#)
}
