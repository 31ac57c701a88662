import PKI

/// The reason why a request to a CA failed. The description is one line for an operator.
package enum ACMEError: Error, Equatable {
    /// The CA refuses with this status. It may say how long to wait before the next try.
    case refused(ACMEProblem, status: Int, retryAfter: Duration?)
    /// The named thing, which the CA sent, can't be used, for this reason.
    case malformed(String, reason: String)
    /// The CA has announced the named thing but can't deliver it yet. It may say how long to wait before the next try.
    case notYet(String, reason: String, retryAfter: Duration?)
    /// The CA accepts only accounts that are bound to an external account, and none is configured.
    case externalAccountRequired
    /// The external account's MAC key is not base64.
    case badExternalAccountKey
    /// The CA does not have this profile, only the offered ones.
    case unknownProfile(String, offered: [String])
    /// The CA's directory does not have this resource.
    case unsupported(String)
    /// The account must be looked up or made before this request.
    case noAccount
    /// A signature could not be made.
    case signing(PKIError)
}

extension ACMEError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .refused(let problem, let status, let wait):
            "the CA refuses (HTTP \(status)): \(problem)\(Self.advice(wait))"
        case .malformed(let thing, let reason): "the CA's \(thing) can't be used: \(reason)"
        case .notYet(let thing, let reason, let wait):
            "the CA's \(thing) is not there yet: \(reason)\(Self.advice(wait))"
        case .externalAccountRequired: "the CA takes only accounts with external account binding: set 'eab'"
        case .badExternalAccountKey: "the HMAC key of the external account is no base64"
        case .unknownProfile(let profile, let offered):
            "the CA has no profile '\(profile.oneLine(limit: 100))'"
                + (offered.isEmpty ? " and offers none" : ": it offers \(offered.joined(separator: ", "))")
        case .unsupported(let resource): "the CA's directory has no '\(resource)'"
        case .noAccount: "there is no account at the CA yet"
        case .signing(let error): "\(error)"
        }
    }

    private static func advice(_ wait: Duration?) -> String {
        wait.map { "; try again in \($0.components.seconds) s" } ?? ""
    }

    /// How long the CA wants Aegis to wait before it asks again, where the CA says so.
    package var retryAfter: Duration? {
        switch self {
        case .refused(_, _, let wait), .notYet(_, _, let wait): wait
        default: nil
        }
    }

    /// The problem document in the CA's refusal.
    package var problem: ACMEProblem? {
        guard case .refused(let problem, _, _) = self else { return nil }
        return problem
    }

    /// Whether the CA refuses the request itself. A refusal because of an unknown account, a rate limit or the CA's own
    /// troubles does not count.
    package var isLasting: Bool {
        guard case .refused(let problem, let status, _) = self, 400...499 ~= status, status != 429 else { return false }
        return problem.kind != "rateLimited" && problem.kind != "accountDoesNotExist"
    }

    /// Whether the CA does not know the resource.
    package var isGone: Bool {
        guard case .refused(_, let status, _) = self else { return false }
        return status == 404 || status == 410
    }

    /// Whether the CA knows the resource but can't deliver it yet.
    var isNotYet: Bool {
        guard case .notYet = self else { return false }
        return true
    }

    /// Whether the CA refuses for this reason of RFC 8555, section 6.7, such as "rateLimited".
    func isRefusal(_ kind: String) -> Bool { problem?.kind == kind }
}
