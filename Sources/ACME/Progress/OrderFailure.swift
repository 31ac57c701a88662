/// The reason why an order failed. Its description is one line for the operator, with all texts from the CA.
package enum OrderFailure: Error, Hashable {
    /// An error that the CA reports for one name or for the whole order.
    package struct Complaint: Sendable, Hashable {
        /// The name as it was ordered. Nil for the whole order.
        package let name: String?
        /// The CA's error document. Nil if the CA gives no reason.
        package let problem: ACMEProblem?
    }

    /// The CA refused some names or the order.
    case refused([Complaint])
    /// For this name, the CA does not offer the configured challenge type. `offered` are the types that it offers.
    case notOffered(ACMEChallengeType, name: String, offered: [String])
    /// The CA offers the configured challenge type for this name, but the challenge can't be used. `fault` is the
    /// reason.
    case unusable(ACMEChallengeType, name: String, fault: String)
    /// The authorization of the name ended before the certificate was issued, for example because it expired.
    case ended(name: String, ACMEAuthorization.Status)
    /// The CA did not finish in time. `names` are the names that the CA was still validating. If there are none, the CA
    /// was issuing.
    case timedOut(names: [String])
    /// The order is pending but has no authorizations. `fault` says why those in the CA's answer can't be read. It is
    /// nil if the answer has none.
    case noAuthorizations(fault: String?)
    /// The order is valid but has no certificate URL.
    case noCertificate
}

extension OrderFailure {
    /// Whether a new order would probably fail for the same reason, so that the order should be kept.
    package var wouldRecur: Bool {
        switch self {
        case .notOffered, .unusable, .noAuthorizations(fault: _?): true
        case .refused, .ended, .timedOut, .noAuthorizations(fault: nil), .noCertificate: false
        }
    }

    /// Whether the CA may still issue the certificate later.
    package var isForNow: Bool {
        switch self {
        case .timedOut, .noCertificate: true
        case .refused, .notOffered, .unusable, .ended, .noAuthorizations: false
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
        case .unusable(let type, let name, let fault): "the CA offers \(type.rawValue) for \(name), but \(fault)"
        case .ended(let name, let status): "the authorization of \(name) is \(status.rawValue)"
        case .timedOut(let names):
            "the CA has not come to an end with "
                + (names.isEmpty ? "issuing" : "authorizing \(names.joined(separator: ", "))")
        case .noAuthorizations(nil): "the CA's order waits for authorizations, and names none"
        case .noAuthorizations(let fault?):
            "the CA's order waits for authorizations, and none of them can be read: \(fault)"
        case .noCertificate: "the CA says that the certificate is issued, and not where it is"
        }
    }
}

extension OrderFailure.Complaint: CustomStringConvertible {
    package var description: String {
        "the CA refuses \(name ?? "the order"): \(problem?.description ?? "it does not say why")"
    }
}
