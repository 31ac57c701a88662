import DNS
import HTTPClient
import PKI
import State

/// Requests a token as a CA does for http-01, and checks whether Aegis gives the answer.
struct ChallengeProbe: Sendable {
    /// The maximum number of addresses that are tried per name. A CA tries only a few addresses too.
    private static let maximumAddresses = 4
    private static let maximumBytes = 64 << 10

    let token: String
    /// The correct answers. Only Aegis's gateways, or this process in their place, can give them.
    let answers: [[UInt8]]
    /// The HTTP port, which is 80 for CAs (RFC 8555 section 8.3). Tests use another port.
    let port: Int
    /// The time limit for each address.
    let timeout: Duration

    /// Requests the token at each address of a name. Returns a message, perhaps with a hint, for each address without a
    /// correct answer.
    func objections(to name: String, at addresses: [String]) -> [(text: String, hint: String?)] {
        addresses.prefix(Self.maximumAddresses).compactMap { address in
            do throws(HTTPFailure) {
                let client = try HTTPClient(
                    userAgent: "aegis", timeout: timeout, maximumBytes: Self.maximumBytes, plainHTTP: .everywhere,
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

    /// Returns the problem with an answer. Returns nil if Aegis gave the answer.
    func objection(to response: HTTPResponse) -> (text: String, hint: String?)? {
        if response.status == 200, answers.contains(response.body) { return nil }
        let start = "it is not our gateway that answers, but HTTP \(response.status)"
        guard (300...399).contains(response.status), let location = response.value(of: "Location") else {
            return (start, "the server that answers there has to pass /.well-known/acme-challenge/ on to the gateway")
        }
        return (
            "\(start) to \(location.oneLine(limit: 200))",
            "a CA follows it, and has to find the gateway's answer there"
        )
    }
}
