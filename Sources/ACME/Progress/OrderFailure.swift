/// Why an order comes to nothing. The description is one line for an operator, with all that the CA has said.
package enum OrderFailure: Error, Hashable {
    /// What the CA says of one name, or of the whole order where there is none.
    package struct Complaint: Sendable, Hashable {
        /// The name as it was ordered.
        package let name: String?
        /// What is wrong; nil when the CA doesn't say.
        package let problem: ACMEProblem?
    }

    /// The CA refuses: all that it says.
    case refused([Complaint])
    /// The name can't be authorized as wanted, only in these ways.
    case notOffered(ACMEChallengeType, name: String, offered: [String])
    /// The name's authorization has ended before the certificate was issued.
    case ended(name: String, ACMEAuthorization.Status)
    /// The CA has not come to an end: with these names, or with issuing where there are none.
    case timedOut(names: [String])
    /// The order waits for authorizations and names none.
    case noAuthorizations
    /// The order is valid and has no certificate.
    case noCertificate
}

extension OrderFailure {
    /// Whether the CA has not come to an end yet, so that something may still come of an order that was finalized.
    package var isForNow: Bool {
        switch self {
        case .timedOut, .noCertificate: true
        case .refused, .notOffered, .ended, .noAuthorizations: false
        }
    }
}

extension OrderFailure: CustomStringConvertible {
    /// The failure as one line for an operator.
    package var description: String {
        switch self {
        case .refused(let complaints): complaints.map(\.description).joined(separator: "; ")
        case .notOffered(let type, let name, let offered):
            "the CA does not offer \(type.rawValue) for \(name)"
                + (offered.isEmpty ? " nor anything else" : ": only \(offered.joined(separator: ", "))")
        case .ended(let name, let status): "the authorization of \(name) is \(status.rawValue)"
        case .timedOut(let names):
            "the CA has not come to an end with "
                + (names.isEmpty ? "issuing" : "authorizing \(names.joined(separator: ", "))")
        case .noAuthorizations: "the CA's order waits for authorizations, and names none"
        case .noCertificate: "the CA says that the certificate is issued, and not where it is"
        }
    }
}

extension OrderFailure.Complaint: CustomStringConvertible {
    /// The complaint as one line.
    package var description: String {
        "the CA refuses \(name ?? "the order"): \(problem?.description ?? "it does not say why")"
    }
}
