import DNS
import HTTPClient
import PKI
import State

/// Requests a token in the way a CA does for http-01, and checks whether Aegis answers.
struct ChallengeProbe: Sendable {
    /// A name can have many addresses, but a CA tries few.
    private static let maximumAddresses = 4
    private static let maximumBytes = 64 << 10

    let token: String
    /// The answers that only Aegis's gateways, or this process instead of them, can give.
    let answers: [[UInt8]]
    /// The port of plain HTTP (RFC 8555 section 8.3); tests use another one.
    let port: Int
    /// How long each address may take.
    let timeout: Duration

    /// Requests the token under a name, at each of these addresses, and returns the objections to the answers.
    func objections(to name: String, at addresses: [String]) -> [(text: String, hint: String?)] {
        addresses.prefix(Self.maximumAddresses).compactMap { address in
            do throws(HTTPFailure) {
                let client = try HTTPClient(
                    userAgent: "aegis", timeout: timeout, maximumBytes: Self.maximumBytes, allowsPlainHTTP: true,
                    resolutions: [.init(host: name, port: port, address: address)])
                let host = name.contains(":") ? "[\(name)]" : name
                let response = try client.send(
                    HTTPRequest(.get, "http://\(host):\(port)/.well-known/acme-challenge/\(token)"))
                return objection(to: response).map { ("\($0.text), at \(address)", $0.hint) }
            } catch {
                return ("\(error.reason), at \(address)", error.hint)
            }
        }
    }

    /// The objection to an answer; nil when the answer is Aegis's.
    func objection(to response: HTTPResponse) -> (text: String, hint: String?)? {
        if response.status == 200, answers.contains(response.body) { return nil }
        let start = "it is not our gateway that answers, but HTTP \(response.status)"
        guard (300...399).contains(response.status), let location = response.value(of: "Location") else {
            return (start, "what answers there has to pass /.well-known/acme-challenge/ on to the gateway")
        }
        return (
            "\(start) to \(location.oneLine(limit: 200))",
            "a CA follows it, and has to find the gateway's answer there"
        )
    }
}
