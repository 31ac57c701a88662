/// The reason why an order has failed. The description is one line for an operator, with everything that the CA has
/// said.
package enum OrderFailure: Error, Hashable {
    /// A problem that the CA reports for one name, or for the whole order.
    package struct Complaint: Sendable, Hashable {
        /// The name as it was ordered; nil for the whole order.
        package let name: String?
        /// The problem; nil when the CA doesn't tell it.
        package let problem: ACMEProblem?
    }

    /// The CA refuses, with these complaints.
    case refused([Complaint])
    /// The CA offers no challenge of the configured type for the name, only of these types.
    case notOffered(ACMEChallengeType, name: String, offered: [String])
    /// The name's authorization has ended before the certificate was issued.
    case ended(name: String, ACMEAuthorization.Status)
    /// The CA has not finished in time: validating these names, or issuing when the list is empty.
    case timedOut(names: [String])
    /// The order is pending but lists no authorizations.
    case noAuthorizations
    /// The order is valid but has no certificate.
    case noCertificate
}

extension OrderFailure {
    /// Whether the CA may still finish, so that a finalized order may still lead to a certificate.
    package var isForNow: Bool {
        switch self {
        case .timedOut, .noCertificate: true
        case .refused, .notOffered, .ended, .noAuthorizations: false
        }
    }
}

extension OrderFailure: CustomStringConvertible {
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
