import CCurl

/// The reason why a request got no usable answer.
package struct HTTPFailure: Error, Sendable, Equatable {
    /// One line with the server's name and the reason. The URL's path and query are left out, since they may be secret.
    package let reason: String
    package let hint: String?
    /// Whether the server may have received the request and acted on it. False only if this is impossible, for example
    /// because no connection was made or the TLS handshake failed.
    package let mayHaveArrived: Bool

    package init(_ reason: String, hint: String? = nil, mayHaveArrived: Bool) {
        self.reason = reason
        self.hint = hint
        self.mayHaveArrived = mayHaveArrived
    }
}

extension HTTPFailure: CustomStringConvertible {
    package var description: String { reason + (hint.map { " (\($0))" } ?? "") }
}

struct CurlFault {
    let code: CURLcode
    /// curl's message about the failure.
    let detail: String
    /// The errno of a failed connect(2). 0 if there is none.
    let systemError: Int32
    /// OpenSSL's result of verifying the certificate (X509_V_ERR_…). 0 (X509_V_OK) if it is valid or was not checked.
    let verifyResult: Int
    let mayHaveArrived: Bool

    /// Makes a failure from curl's report. `place` is the server's host, perhaps with a port.
    func failure(at place: String, hasOwnAuthorities: Bool) -> HTTPFailure {
        HTTPFailure(
            "\(place): \(words)", hint: hint(hasOwnAuthorities: hasOwnAuthorities), mayHaveArrived: mayHaveArrived)
    }

    private var words: String {
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST: "the host can't be resolved"
        case CURLE_COULDNT_RESOLVE_PROXY: "the proxy's host can't be resolved"
        // This is safe, since the text of strerror(3) is copied before another call can change it.
        case CURLE_COULDNT_CONNECT where systemError != 0: unsafe String(cString: strerror(systemError)).lowercased()
        case CURLE_COULDNT_CONNECT: "can't connect: \(detail)"
        case CURLE_PEER_FAILED_VERIFICATION: "TLS verification failed: \(detail)"
        case CURLE_SSL_CONNECT_ERROR: "TLS failed: \(detail)"
        case CURLE_SSL_CACERT_BADFILE: "the trusted certificates can't be read: \(detail)"
        case CURLE_OPERATION_TIMEDOUT: "no \(mayHaveArrived ? "answer" : "connection") in time: \(detail)"
        case CURLE_ABORTED_BY_CALLBACK: "the request is not sent, since the program ends"
        case CURLE_GOT_NOTHING: "the connection was closed without an answer"
        case CURLE_SEND_FAIL_REWIND: "the connection was closed before an answer, perhaps after the request was read"
        default: detail
        }
    }

    private func hint(hasOwnAuthorities: Bool) -> String? {
        switch code {
        // OpenSSL's codes 18 to 21 mean that the issuer is missing or not trusted (X509_STORE_CTX_get_error(3)).
        case CURLE_PEER_FAILED_VERIFICATION where (18...21).contains(verifyResult):
            hasOwnAuthorities
                ? "it was not issued by a CA of ca_file" : "a CA that the system does not trust is named by ca_file"
        case CURLE_SSL_CACERT_BADFILE where !hasOwnAuthorities: "the system's are in the package ca-certificates"
        default: nil
        }
    }
}
