import FoundationEssentials
import PKI
import Synchronization
import Testing

@testable import ACME

/// A CA that gives scripted answers. It answers requests for the directory and for nonces by itself.
final class ScriptedEdge: ACMEEdge {
    enum Answer: Sendable {
        case response(ACMEHTTPResponse)
        case lost(mayHaveArrived: Bool)
    }

    struct Lost: ACMEEdgeError {
        var mayHaveArrived: Bool
        var isTransient = true
    }

    struct State {
        var script: [Answer]
        var requests: [ACMEHTTPRequest] = []
        var nonces = 0
        var waits: [Duration] = []
    }

    static let directory = """
        {"newNonce": "https://ca.test/nonce", "newAccount": "https://ca.test/account",
        "newOrder": "https://ca.test/order", "revokeCert": "https://ca.test/revoke",
        "keyChange": "https://ca.test/key", "renewalInfo": "https://ca.test/renewal", "newThing": {"of": ["the", 1]},
        "meta": {"termsOfService": "https://ca.test/terms", "caaIdentities": ["ca.test"], "website": 7,
        "profiles": {"classic": "as ever", "short": "6 days"}}}
        """

    let directory: String
    private let state: Mutex<State>

    init(directory: String = ScriptedEdge.directory, _ script: [Answer]) {
        self.directory = directory
        state = Mutex(State(script: script))
    }

    func send(_ request: ACMEHTTPRequest) throws -> ACMEHTTPResponse {
        if request.url.text == "https://ca.test/directory" {
            return ACMEHTTPResponse(status: 200, body: Array(directory.utf8))
        }
        return try state.withLock { state in
            state.nonces += 1
            let nonce = "nonce-\(state.nonces)"
            if request.method == .head { return ACMEHTTPResponse(status: 200, replayNonce: nonce) }
            state.requests.append(request)
            guard !state.script.isEmpty else {
                Issue.record("nothing is written down for \(request.method.rawValue) \(request.url)")
                throw Lost(mayHaveArrived: true, isTransient: false)
            }
            switch state.script.removeFirst() {
            case .lost(let mayHaveArrived): throw Lost(mayHaveArrived: mayHaveArrived)
            case .response(let response):
                return ACMEHTTPResponse(
                    status: response.status, location: response.location, replayNonce: response.replayNonce ?? nonce,
                    retryAfter: response.retryAfter, links: response.links, contentType: response.contentType,
                    body: response.body)
            }
        }
    }

    /// The requests, without those for the directory and for nonces.
    var requests: [ACMEHTTPRequest] { state.withLock { $0.requests } }
    /// The signed messages among the requests.
    var messages: [Message] { get throws { try requests.map(Message.init) } }
    /// The delays that the client waited.
    var waits: [Duration] { state.withLock { $0.waits } }
    /// Whether all scripted answers were used.
    var isDone: Bool { state.withLock { $0.script.isEmpty } }

    static let ecKey = Result { try PrivateKey.generate(.ecdsaP256) }
    static let rsaKey = Result { try PrivateKey.generate(.rsa2048) }
    static let now: Int64 = 1_800_000_000

    /// A client that already has an account, unless `hasAccount` is false.
    func client(hasAccount: Bool = true, key: Result<PrivateKey, any Error> = ecKey) throws -> ACMEClient {
        try ACMEClient(
            directory: ACMEURL("https://ca.test/directory"), key: key.get(),
            account: hasAccount ? ACMEURL("https://ca.test/account/1") : nil, edge: self,
            wait: { duration, _ in self.state.withLock { $0.waits.append(duration) } }, now: { Self.now })
    }
}

extension ScriptedEdge.Answer {
    static func json(
        _ text: String, status: Int = 200, location: String? = nil, retryAfter: String? = nil
    ) -> ScriptedEdge.Answer {
        .response(
            ACMEHTTPResponse(status: status, location: location, retryAfter: retryAfter, body: Array(text.utf8)))
    }

    static func problem(_ kind: String, status: Int = 400, retryAfter: String? = nil) -> ScriptedEdge.Answer {
        .json(
            #"{"type": "urn:ietf:params:acme:error:\#(kind)", "detail": "said the CA"}"#, status: status,
            retryAfter: retryAfter)
    }

    static let order = json(Samples.order("pending"), status: 201, location: "https://ca.test/order/1")
}

/// A decoded JWS.
struct Message {
    struct Header: Decodable {
        let alg: String
        let jwk: [String: String]?
        let kid: String?
        let nonce: String?
        let url: String
    }

    let header: Header
    let payload: String
    /// The bytes that are signed.
    let input: [UInt8]
    let signature: [UInt8]

    init(_ request: ACMEHTTPRequest) throws { try self.init(request.body) }

    init(_ body: [UInt8]) throws {
        let jws = try JSONDecoder().decode(JWS.self, from: Data(body))
        header = try JSONDecoder().decode(Header.self, from: Data(#require(Base64URL.bytes(jws.protected))))
        payload = String(decoding: try #require(Base64URL.bytes(jws.payload)), as: UTF8.self)
        input = Array("\(jws.protected).\(jws.payload)".utf8)
        signature = try #require(Base64URL.bytes(jws.signature))
    }
}

/// Messages as CAs send them.
enum Samples {
    static func order(_ status: String, more: String = "") -> String {
        """
        {"status": "\(status)", "expires": "2027-01-15T08:00:00Z", "notKnownToUs": {"a": [null]},
        "identifiers": [{"type": "dns", "value": "www.example.com"}, {"type": "ip", "value": "192.0.2.1"}],
        "authorizations": ["https://ca.test/authz/1", "https://ca.test/authz/2"],
        "finalize": "https://ca.test/order/1/finalize"\(more)}
        """
    }

    static func challenge(_ type: String, _ number: Int, status: String = "pending", more: String = "") -> String {
        """
        {"type": "\(type)", "url": "https://ca.test/challenge/\(number)", "status": "\(status)",
        "token": "token-\(number)"\(more)}
        """
    }

    static func authorization(
        _ name: String, status: String = "pending", challenges: [String], more: String = ""
    ) -> String {
        """
        {"identifier": {"type": "dns", "value": "\(name)"}, "status": "\(status)",
        "expires": "2027-01-15T08:00:00Z", "challenges": [\(challenges.joined(separator: ","))]\(more)}
        """
    }
}
