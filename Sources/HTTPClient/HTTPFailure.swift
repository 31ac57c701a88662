import CCurl

/// Why there is no answer.
package struct HTTPFailure: Error, Sendable, Equatable {
    /// What went wrong and with whom, in one line without secrets: neither path nor query of the URL are in it.
    package let reason: String
    /// What to do about it.
    package let hint: String?
    /// Whether the server may have read the request, and done what it asks. False only when it can't: the name was not
    /// resolved, no connection was made, TLS failed, or the request was malformed.
    package let mayHaveArrived: Bool

    /// A failure.
    package init(_ reason: String, hint: String? = nil, mayHaveArrived: Bool) {
        self.reason = reason
        self.hint = hint
        self.mayHaveArrived = mayHaveArrived
    }
}

extension HTTPFailure: CustomStringConvertible {
    /// Reason and hint in a line.
    package var description: String { reason + (hint.map { " (\($0))" } ?? "") }
}

/// What curl knows of a transfer that failed.
struct CurlFault {
    let code: CURLcode
    /// What curl says of it.
    let detail: String
    /// errno of a connection that was not had; 0: none.
    let systemError: Int32
    /// What OpenSSL says of the certificate: X509_V_ERR_…; 0: nothing.
    let verifyResult: Int
    let mayHaveArrived: Bool

    /// The failure, as one at a place.
    func failure(at place: String, hasOwnAuthorities: Bool) -> HTTPFailure {
        HTTPFailure(
            "\(place): \(words)", hint: hint(hasOwnAuthorities: hasOwnAuthorities), mayHaveArrived: mayHaveArrived)
    }

    private var words: String {
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST: "the host can't be resolved"
        case CURLE_COULDNT_RESOLVE_PROXY: "the proxy's host can't be resolved"
        // The text for an errno is copied at once.
        case CURLE_COULDNT_CONNECT where systemError != 0: unsafe String(cString: strerror(systemError)).lowercased()
        case CURLE_COULDNT_CONNECT: "can't connect: \(detail)"
        case CURLE_PEER_FAILED_VERIFICATION: "TLS verification failed: \(detail)"
        case CURLE_SSL_CONNECT_ERROR: "TLS failed: \(detail)"
        case CURLE_SSL_CACERT_BADFILE: "the trusted certificates can't be read: \(detail)"
        case CURLE_OPERATION_TIMEDOUT: "no \(mayHaveArrived ? "answer" : "connection") in time: \(detail)"
        case CURLE_GOT_NOTHING: "the connection was closed without an answer"
        case CURLE_SEND_FAIL_REWIND: "the connection was closed before an answer, perhaps after the request was read"
        default: detail
        }
    }

    private func hint(hasOwnAuthorities: Bool) -> String? {
        switch code {
        // What X509_verify_cert says of issuers that are not there: 18 to 21 (X509_STORE_CTX_get_error(3)).
        case CURLE_PEER_FAILED_VERIFICATION where (18...21).contains(verifyResult):
            hasOwnAuthorities
                ? "it was not issued by a CA of ca_file" : "a CA that the system does not trust is named by ca_file"
        case CURLE_SSL_CACERT_BADFILE where !hasOwnAuthorities: "the system's are in the package ca-certificates"
        default: nil
        }
    }
}
