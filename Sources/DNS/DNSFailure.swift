// DNS: asks name servers, and changes TXT records by dynamic updates (RFC 1035, 2136, 8945).
//
// Messages are values: `DNSMessage` writes and reads them, over libldns, which no other module imports; `TSIG` signs them
// and checks signatures. `DNSExchange` alone touches sockets. A call has its own sockets, a bound in time, and takes no
// answer but to its own question.

/// Why DNS did not give what was asked.
package struct DNSFailure: Error, Sendable, Equatable {
    /// What went wrong and where, in one line.
    package let reason: String
    /// What to do about it.
    package let hint: String?
    /// Whether nobody answered in time.
    package var isUnanswered = false

    /// A failure.
    package init(_ reason: String, hint: String? = nil) {
        self.reason = reason
        self.hint = hint
    }
}

extension DNSFailure: CustomStringConvertible {
    /// Reason and hint in a line.
    package var description: String { reason + (hint.map { " (\($0))" } ?? "") }
}
