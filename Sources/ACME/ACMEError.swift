import PKI

/// The reason why a request to a CA failed. Its description is one line for the operator.
package enum ACMEError: Error, Equatable {
    /// The CA refused the request with this HTTP status. `retryAfter` is the delay that the CA asks for.
    case refused(ACMEProblem, status: Int, retryAfter: Duration?)
    /// The named part of the CA's answer can't be used.
    case malformed(String, reason: String)
    /// The CA has accepted the order, but its answer does not say where the order is, so that nobody can find it.
    case orderWithoutPlace(reason: String)
    /// The CA has announced the named resource but can't deliver it yet. `retryAfter` is the delay that the CA asks
    /// for.
    case notYet(String, reason: String, retryAfter: Duration?)
    /// The CA requires external account binding, but the issuer's settings have no external account.
    case externalAccountRequired
    /// The MAC key of the external account is not base64.
    case badExternalAccountKey
    /// The CA does not offer the configured certificate profile. `offered` are the profiles that it offers.
    case unknownProfile(String, offered: [String])
    /// The CA's directory does not have this resource.
    case unsupported(String)
    /// The client does not know the URL of its account. The caller must call `account(…)` first.
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
        case .orderWithoutPlace(let reason): reason
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

    /// The delay that the CA asks for before the next request. Nil if the CA asks for none.
    package var retryAfter: Duration? {
        switch self {
        case .refused(_, _, let wait), .notYet(_, _, let wait): wait
        default: nil
        }
    }

    /// The problem document, if the CA refused the request.
    package var problem: ACMEProblem? {
        guard case .refused(let problem, _, _) = self else { return nil }
        return problem
    }

    /// Whether the same request would probably be refused again. An unknown account, a rate limit (429) and an error of
    /// the CA itself (5xx) don't count, since they can pass.
    package var isLasting: Bool {
        guard case .refused(let problem, let status, _) = self, 400...499 ~= status, status != 429 else { return false }
        return problem.kind != "rateLimited" && problem.kind != "accountDoesNotExist"
    }

    /// Whether the CA reports an error of its own (status 500).
    package var isInternal: Bool {
        guard case .refused(_, let status, _) = self else { return false }
        return status == 500
    }

    /// Whether the CA does not know the resource (404 or 410).
    package var isGone: Bool {
        guard case .refused(_, let status, _) = self else { return false }
        return status == 404 || status == 410
    }

    var isNotYet: Bool {
        guard case .notYet = self else { return false }
        return true
    }

    /// Whether the CA refused the request with this error type of RFC 8555 section 6.7, such as "rateLimited".
    func isRefusal(_ kind: String) -> Bool { problem?.kind == kind }
}
