// DNS: asks name servers, and changes TXT records by dynamic updates (RFC 1035, 2136, 8945).
//
// `DNSMessage` writes messages. `DNSAnswer` reads them with libldns, which no other module imports. `TSIG` signs
// messages and checks signatures. These types do no I/O; only `DNSExchange` uses sockets. Each call opens its own
// sockets, has a time limit, and accepts only an answer to its own question.

package struct DNSFailure: Error, Sendable, Equatable {
    /// One line with the reason and the name of the server or the domain.
    package let reason: String
    package let hint: String?
    /// Whether the server that was tried last did not answer in time.
    package var isUnanswered = false

    package init(_ reason: String, hint: String? = nil) {
        self.reason = reason
        self.hint = hint
    }
}

extension DNSFailure: CustomStringConvertible {
    package var description: String { reason + (hint.map { " (\($0))" } ?? "") }
}
