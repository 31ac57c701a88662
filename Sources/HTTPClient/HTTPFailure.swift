import CCurl

/// The reason why there is no answer.
package struct HTTPFailure: Error, Sendable, Equatable {
    /// The reason with the server's name, in one line without secrets. The URL's path and query are left out.
    package let reason: String
    /// Advice for the operator.
    package let hint: String?
    /// Whether the server may have read the request and acted on it. False only when it can't have: the name was not
    /// resolved, no connection was made, TLS failed, or the request was malformed.
    package let mayHaveArrived: Bool

    package init(_ reason: String, hint: String? = nil, mayHaveArrived: Bool) {
        self.reason = reason
        self.hint = hint
        self.mayHaveArrived = mayHaveArrived
    }
}

extension HTTPFailure: CustomStringConvertible {
    /// Reason and hint in one line.
    package var description: String { reason + (hint.map { " (\($0))" } ?? "") }
}

/// curl's report of a failed transfer.
struct CurlFault {
    let code: CURLcode
    /// curl's own message.
    let detail: String
    /// The errno of a failed connection; 0 if there is none.
    let systemError: Int32
    /// OpenSSL's error about the certificate (X509_V_ERR_…); 0 (X509_V_OK) if it found none or checked none.
    let verifyResult: Int
    let mayHaveArrived: Bool

    /// Turns the report into a failure. `place` is the server's name.
    func failure(at place: String, hasOwnAuthorities: Bool) -> HTTPFailure {
        HTTPFailure(
            "\(place): \(words)", hint: hint(hasOwnAuthorities: hasOwnAuthorities), mayHaveArrived: mayHaveArrived)
    }

    private var words: String {
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST: "the host can't be resolved"
        case CURLE_COULDNT_RESOLVE_PROXY: "the proxy's host can't be resolved"
        // strerror's text is copied at once.
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
        // OpenSSL's codes for a missing issuer: 18 to 21 (X509_STORE_CTX_get_error(3)).
        case CURLE_PEER_FAILED_VERIFICATION where (18...21).contains(verifyResult):
            hasOwnAuthorities
                ? "it was not issued by a CA of ca_file" : "a CA that the system does not trust is named by ca_file"
        case CURLE_SSL_CACERT_BADFILE where !hasOwnAuthorities: "the system's are in the package ca-certificates"
        default: nil
        }
    }
}
