import COpenSSL

/// The reason why a peer's certificate was refused, with the facts that the audit records.
package struct PeerRefusal: Sendable, Equatable {
    /// The broken rule. The raw value is its name in metrics.
    package enum Reason: String, Sendable, CaseIterable {
        /// The client sent no certificate, but the rules require one.
        case noCertificate = "no_certificate"
        /// The certificate is malformed or too large.
        case unreadable
        /// No trusted CA issued the certificate.
        case unknownAuthority = "unknown_authority"
        /// The certificate is self-signed, and is not itself trusted.
        case selfSigned = "self_signed"
        /// The issuer's key does not verify the certificate's signature.
        case badSignature = "bad_signature"
        case expired
        case notYetValid = "not_yet_valid"
        /// The certificate's key usages don't allow a client's (or a server's) certificate.
        case wrongPurpose = "wrong_purpose"
        /// A certificate in the chain has issued the certificate below it, but is no CA certificate or may not sign
        /// certificates.
        case notAnAuthority = "not_an_authority"
        /// The chain has more than `PeerTrust.maximumCertificates` certificates.
        case chainTooLong = "chain_too_long"
        /// More CA certificates are below a CA certificate than its path length allows.
        case pathLength = "path_length"
        /// The name constraints of a CA forbid the certificate's names.
        case nameConstraint = "name_constraint"
        /// The certificate has a critical extension that OpenSSL does not know.
        case unknownExtension = "unknown_extension"
        /// The key is weaker than RSA 2048 or EC 256, or has an unsupported algorithm.
        case weakKey = "weak_key"
        /// The signature uses a hash weaker than SHA-256.
        case weakSignature = "weak_signature"
        case revoked
        /// The issuer's revocation list is past its next update.
        case listOverdue = "list_overdue"
        /// The time of issue of the issuer's revocation list is in the future.
        case listNotYetValid = "list_not_yet_valid"
        /// The issuer has revocation lists, but they are for other certificates of the issuer.
        case listMissing = "list_missing"
        /// Revocation lists with the issuer's name exist, but the issuer's key signed none of them.
        case listForeign = "list_foreign"
        /// The certificate has none of the required names.
        case missingName = "missing_name"
        /// The certificate does not have the name of the server that Aegis connects to.
        case wrongHost = "wrong_host"
        /// OpenSSL refused the certificate for another reason, which `detail` gives.
        case other
    }

    package let reason: Reason
    /// The index in the chain of the certificate that breaks the rule. 0 is the peer's own certificate, 1 is its
    /// issuer's.
    package let depth: Int
    /// The subject of the CA certificate that breaks the rule. Nil if the peer's own certificate breaks it.
    package let authority: String?
    /// A few more words about the reason, such as the kind of the key.
    package let detail: String?
    /// The peer's own certificate. Nil if the peer sent no certificate or an unreadable one.
    package let certificate: PeerCertificate?

    init(
        _ reason: Reason, depth: Int = 0, authority: String? = nil, detail: String? = nil,
        certificate: PeerCertificate? = nil
    ) {
        (self.reason, self.depth, self.authority) = (reason, depth, authority)
        (self.detail, self.certificate) = (detail, certificate)
    }
}

extension PeerRefusal {
    /// The description. If a name is missing or wrong, the certificate's names follow.
    package var words: String {
        guard reason == .missingName || reason == .wrongHost, let certificate else { return description }
        let more = certificate.namesLeftOut > 0 ? ["and \(certificate.namesLeftOut) more"] : []
        let names = (certificate.names + more).joined(separator: ", ")
        return "\(description); it has \(names.isEmpty ? "no names" : names)"
    }
}

extension PeerRefusal: CustomStringConvertible {
    package var description: String {
        if reason == .noCertificate { return "no certificate was shown" }
        let which = authority.map { "the authority '\($0)'" } ?? "the certificate"
        return "\(which) \(reason.text)\(detail.map { " (\($0))" } ?? "")"
    }
}

extension PeerRefusal.Reason {
    /// The end of a message that begins with the words "the certificate".
    fileprivate var text: String {
        switch self {
        case .noCertificate: "was not shown"
        case .unreadable: "can't be read"
        case .unknownAuthority: "is not issued by an authority that is trusted"
        case .selfSigned: "is self-signed, and not among those that are trusted"
        case .badSignature: "is not signed by its issuer"
        case .expired: "has expired"
        case .notYetValid: "is not valid yet"
        case .wrongPurpose: "is not meant for this end of a connection, by its key usages"
        case .notAnAuthority: "issued a certificate but is not allowed to"
        case .chainTooLong: "is the end of a chain of more than \(PeerTrust.maximumCertificates) certificates"
        case .pathLength: "has more authorities below it than it allows"
        case .nameConstraint: "has names that an authority above it does not allow"
        case .unknownExtension: "has a critical extension that is not known"
        case .weakKey: "has a key that is too weak or of an unsupported kind"
        case .weakSignature: "is signed with a hash below SHA-256"
        case .revoked: "is revoked"
        case .listOverdue: "can't be checked: its issuer's revocation list is past its next update"
        case .listNotYetValid: "can't be checked: its issuer's revocation list is not valid yet"
        case .listMissing: "can't be checked: its issuer's revocation lists are for other certificates of it"
        case .listForeign: "can't be checked: the revocation list of its issuer's name is not signed by its issuer"
        case .missingName: "has none of the required names"
        case .wrongHost: "is not for the server's name"
        case .other: "is refused by OpenSSL"
        }
    }
}

/// A rule that a certificate in the chain breaks. A `PeerRefusal` adds the facts about the certificate.
struct PeerFault: Error {
    let reason: PeerRefusal.Reason
    var depth = 0
    var detail: String?

    init(_ reason: PeerRefusal.Reason, depth: Int = 0, detail: String? = nil) {
        (self.reason, self.depth, self.detail) = (reason, depth, detail)
    }

    /// Translates an error code of X509_STORE_CTX_get_error(3).
    init(openSSL error: Int32, depth: Int) {
        let reason: PeerRefusal.Reason =
            switch error {
            case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
                X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_UNTRUSTED:
                .unknownAuthority
            case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: .selfSigned
            case X509_V_ERR_CERT_SIGNATURE_FAILURE, X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE: .badSignature
            case X509_V_ERR_CERT_HAS_EXPIRED: .expired
            case X509_V_ERR_CERT_NOT_YET_VALID: .notYetValid
            case X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD, X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD,
                X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY, X509_V_ERR_INVALID_EXTENSION:
                .unreadable
            case X509_V_ERR_INVALID_PURPOSE: .wrongPurpose
            case X509_V_ERR_INVALID_CA, X509_V_ERR_INVALID_NON_CA, X509_V_ERR_KEYUSAGE_NO_CERTSIGN: .notAnAuthority
            case X509_V_ERR_CERT_CHAIN_TOO_LONG: .chainTooLong
            case X509_V_ERR_PATH_LENGTH_EXCEEDED: .pathLength
            case X509_V_ERR_PERMITTED_VIOLATION, X509_V_ERR_EXCLUDED_VIOLATION, X509_V_ERR_SUBTREE_MINMAX,
                X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE, X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX,
                X509_V_ERR_UNSUPPORTED_NAME_SYNTAX:
                .nameConstraint
            case X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION: .unknownExtension
            case X509_V_ERR_EE_KEY_TOO_SMALL, X509_V_ERR_CA_KEY_TOO_SMALL, X509_V_ERR_EC_KEY_EXPLICIT_PARAMS: .weakKey
            case X509_V_ERR_CA_MD_TOO_WEAK: .weakSignature
            case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH: .wrongHost
            default: .other
            }
        // This is safe, since OpenSSL returns a static text, or nil for an unknown code.
        let text = unsafe X509_verify_cert_error_string(Int(error)).map { unsafe String(cString: $0) }
        self.init(reason, depth: depth, detail: reason == .other ? text ?? "error \(error)" : nil)
    }

    /// The OpenSSL error for a fault that Aegis found itself. OpenSSL derives the TLS alert from the error (RFC 8446
    /// section 6.2).
    var openSSLError: Int32 {
        switch reason {
        case .weakKey: depth == 0 ? X509_V_ERR_EE_KEY_TOO_SMALL : X509_V_ERR_CA_KEY_TOO_SMALL
        case .weakSignature: X509_V_ERR_CA_MD_TOO_WEAK
        case .revoked: X509_V_ERR_CERT_REVOKED
        case .expired: X509_V_ERR_CERT_HAS_EXPIRED
        case .notYetValid: X509_V_ERR_CERT_NOT_YET_VALID
        // For this error, OpenSSL sends the alert certificate_unknown. OpenSSL's error for an expired list would send
        // certificate_expired, and the client would think that its certificate has expired.
        case .listOverdue, .listNotYetValid, .listMissing, .listForeign: X509_V_ERR_CRL_PATH_VALIDATION_ERROR
        // For this error, OpenSSL sends the alert bad_certificate.
        case .missingName: X509_V_ERR_HOSTNAME_MISMATCH
        case .unreadable: X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD
        default: X509_V_ERR_APPLICATION_VERIFICATION
        }
    }
}
