import COpenSSL

/// The reason why a peer's certificate was refused, and the facts that the audit records about it.
package struct PeerRefusal: Sendable, Equatable {
    /// The rule that is broken. The raw value is its name in metrics. In the comments on the cases, "it" is the
    /// certificate that breaks the rule.
    package enum Reason: String, Sendable, CaseIterable {
        /// The client showed no certificate, and one is required.
        case noCertificate = "no_certificate"
        /// The certificate is malformed or too large.
        case unreadable
        /// No trusted CA issued it.
        case unknownAuthority = "unknown_authority"
        /// It is self-signed, and not among the trusted certificates.
        case selfSigned = "self_signed"
        /// Its signature is not by its issuer's key.
        case badSignature = "bad_signature"
        /// Its validity has ended.
        case expired
        /// Its validity has not begun.
        case notYetValid = "not_yet_valid"
        /// Its key usages don't allow this end of a connection.
        case wrongPurpose = "wrong_purpose"
        /// It stands as an issuer in the chain, but is no CA certificate, or its key usage allows no signing of
        /// certificates.
        case notAnAuthority = "not_an_authority"
        /// Its chain is longer than `PeerTrust.maximumCertificates`.
        case chainTooLong = "chain_too_long"
        /// More CAs stand below it than its path length allows.
        case pathLength = "path_length"
        /// A CA above it does not allow its names (name constraints).
        case nameConstraint = "name_constraint"
        /// It has a critical extension that OpenSSL does not know.
        case unknownExtension = "unknown_extension"
        /// Its key is weaker than RSA 2048 or EC 256, or of an unsupported kind.
        case weakKey = "weak_key"
        /// Its signature's hash is weaker than SHA-256.
        case weakSignature = "weak_signature"
        /// Its issuer revoked it.
        case revoked
        /// Its issuer's revocation list is past its next update.
        case listOverdue = "list_overdue"
        /// Revocation lists name its issuer, but none is signed by its issuer's key.
        case listForeign = "list_foreign"
        /// None of its names is among the required ones.
        case missingName = "missing_name"
        /// It is not for the name of the server that we connect to.
        case wrongHost = "wrong_host"
        /// OpenSSL refused it for another reason, which `detail` gives.
        case other
    }

    package let reason: Reason
    /// The place of the certificate that breaks the rule: 0 for the peer's own, 1 for its issuer, and so on.
    package let depth: Int
    /// The subject of the certificate that breaks the rule, escaped and cut; nil for the peer's own certificate.
    package let authority: String?
    /// More about the reason in a few words, such as the kind of key.
    package let detail: String?
    /// The peer's own certificate; nil when it showed none, or one that can't be read.
    package let certificate: PeerCertificate?

    init(
        _ reason: Reason, depth: Int = 0, authority: String? = nil, detail: String? = nil,
        certificate: PeerCertificate? = nil
    ) {
        (self.reason, self.depth, self.authority) = (reason, depth, authority)
        (self.detail, self.certificate) = (detail, certificate)
    }
}

extension PeerRefusal: CustomStringConvertible {
    /// The reason as one line for people.
    package var description: String {
        if reason == .noCertificate { return "no certificate was shown" }
        let which = authority.map { "the authority '\($0)'" } ?? "the certificate"
        return "\(which) \(reason.text)\(detail.map { " (\($0))" } ?? "")"
    }
}

extension PeerRefusal.Reason {
    /// The predicate of `description`, whose subject is the certificate.
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
        case .listForeign: "can't be checked: the revocation list of its issuer's name is not signed by its issuer"
        case .missingName: "has none of the required names"
        case .wrongHost: "is not for the server's name"
        case .other: "is refused by OpenSSL"
        }
    }
}

/// The rule that one certificate of a chain breaks.
struct PeerFault: Error {
    let reason: PeerRefusal.Reason
    var depth = 0
    var detail: String?

    init(_ reason: PeerRefusal.Reason, depth: Int = 0, detail: String? = nil) {
        (self.reason, self.depth, self.detail) = (reason, depth, detail)
    }

    /// Translates an error of X509_STORE_CTX_get_error(3).
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
        // OpenSSL returns a static text, or nil for an unknown code.
        let text = unsafe X509_verify_cert_error_string(Int(error)).map { unsafe String(cString: $0) }
        self.init(reason, depth: depth, detail: reason == .other ? text ?? "error \(error)" : nil)
    }

    /// The OpenSSL error that stands for a fault that we found ourselves. OpenSSL derives the alert from it (RFC 8446
    /// section 6.2).
    var openSSLError: Int32 {
        switch reason {
        case .weakKey: depth == 0 ? X509_V_ERR_EE_KEY_TOO_SMALL : X509_V_ERR_CA_KEY_TOO_SMALL
        case .weakSignature: X509_V_ERR_CA_MD_TOO_WEAK
        case .revoked: X509_V_ERR_CERT_REVOKED
        case .expired: X509_V_ERR_CERT_HAS_EXPIRED
        case .notYetValid: X509_V_ERR_CERT_NOT_YET_VALID
        // OpenSSL sends the alert certificate_unknown for this error. For its error of an expired list it sends
        // certificate_expired, which would mislead the client.
        case .listOverdue, .listForeign: X509_V_ERR_CRL_PATH_VALIDATION_ERROR
        // OpenSSL sends the alert bad_certificate, as for a certificate with the wrong server name.
        case .missingName: X509_V_ERR_HOSTNAME_MISMATCH
        case .unreadable: X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD
        default: X509_V_ERR_APPLICATION_VERIFICATION
        }
    }
}
