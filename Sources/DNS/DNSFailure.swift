// DNS: asks name servers, and changes TXT records by dynamic updates (RFC 1035, 2136, 8945).
//
// Messages are values: `DNSMessage` writes and reads them, over libldns, which no other module imports; `TSIG` signs
// them and checks signatures. Only `DNSExchange` uses sockets. Each call has its own sockets and a time limit, and
// accepts only an answer to its own question.

/// The reason why a question or an update failed.
package struct DNSFailure: Error, Sendable, Equatable {
    /// The reason and the server or name, in one line.
    package let reason: String
    /// Advice for the operator.
    package let hint: String?
    /// Whether no server answered in time.
    package var isUnanswered = false

    package init(_ reason: String, hint: String? = nil) {
        self.reason = reason
        self.hint = hint
    }
}

extension DNSFailure: CustomStringConvertible {
    /// Reason and hint in one line.
    package var description: String { reason + (hint.map { " (\($0))" } ?? "") }
}
