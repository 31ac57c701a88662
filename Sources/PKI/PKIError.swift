// PKI: private keys, certificates, chains, requests, a local certificate authority, sealed secrets, and TLS. The module
// wraps OpenSSL, which no other module imports. All input is limited in size. Bad input throws an error and never
// traps. Errors, descriptions and mirrors never contain key bytes. The module reads no clock: callers pass in the time.

/// The reason why a key, a certificate or a request can't be used. The description is one line for the operator,
/// without secrets.
package enum PKIError: Error, Equatable {
    /// The private key is encrypted with a passphrase.
    case encryptedKey
    case noPrivateKey
    /// The text contains several private keys. Exactly one is expected.
    case severalPrivateKeys(Int)
    case noCertificate
    /// The text is in a form other than PEM. The message names the command that converts it.
    case foreignForm(ForeignForm)
    /// The named object can't be read.
    case malformed(String, reason: String)
    /// The named object is larger than the limit.
    case tooLarge(String, limit: String)
    /// The key, such as "RSA 1024", is weaker than RSA 2048 or EC 256.
    case weakKey(String)
    /// Signing with the key, such as "RSA 16384", is so slow that clients could overload the gateway with handshakes.
    case slowKey(String)
    /// The certificate's signature uses a broken hash, such as SHA-1.
    case weakSignature(subject: String)
    /// Aegis does not support the algorithm or the curve of the key. The value is the key's description or PEM label.
    case unsupportedKey(String)
    /// The key defines its curve by parameters instead of a name. `certificate` is the subject of the certificate with
    /// the key, or nil for a private key.
    case explicitCurve(certificate: String?)
    /// The private key belongs to none of the certificates. `subject` is the subject of the first certificate.
    case keyMismatch(subject: String)
    /// The certificate `subject` does not belong to the chain of `leaf`. It is unrelated, or a certificate between the
    /// two is missing.
    case unrelatedCertificate(subject: String, leaf: String)
    /// No certificate can contain this name.
    case badName(String, reason: String)
    case unusableAuthority(reason: String)
    /// The master key is not 64 hex digits.
    case badMasterKey
    /// An OpenSSL function failed. The first value is the action, such as "making a key".
    case openSSL(String, reasons: [String])
}

extension PKIError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .encryptedKey:
            "the private key is encrypted; write it without a passphrase (openssl pkey -in KEY -out PLAIN_KEY)"
        case .noPrivateKey: "no private key found: expected PEM with a PRIVATE KEY block"
        case .severalPrivateKeys(let count): "\(count) private keys found where one is expected"
        case .noCertificate: "no certificate found: expected PEM with a CERTIFICATE block"
        case .foreignForm(let form): "this is \(form.name): convert it with \(form.command)"
        case .malformed(let thing, let reason): "the \(thing) is malformed: \(reason)"
        case .tooLarge(let thing, let limit): "the \(thing) is too large: at most \(limit)"
        case .weakKey(let kind): "the key is too weak (\(kind)): at least RSA 2048 or ECDSA P-256 is needed"
        case .slowKey(let kind):
            "the key is too large (\(kind)): at most RSA \(KeyKind.maximumRSABits) is served, since each handshake takes"
                + " eight times as long with twice the bits; use ECDSA P-256 or RSA 2048"
        case .weakSignature(let subject): "the certificate '\(subject)' is signed with a broken hash: have it reissued"
        case .unsupportedKey(let kind): "keys of this kind (\(kind)) are not supported: use ECDSA P-256 or RSA 2048"
        case .explicitCurve(let certificate): Self.explicitCurve(certificate)
        case .keyMismatch(let subject): "the private key does not belong to the certificate '\(subject)'"
        case .unrelatedCertificate(let subject, let leaf):
            "the certificate '\(subject)' is no part of the chain of '\(leaf)':"
                + " remove it, or add the certificate that is missing between them"
        case .badName(let name, let reason): "no certificate can be made for '\(name)': \(reason)"
        case .unusableAuthority(let reason): "the certificate authority can't issue: \(reason)"
        case .badMasterKey: "the master key must be 64 hex digits; make one with: openssl rand -hex 32"
        case .openSSL(let action, let reasons):
            "\(action) failed: \(reasons.isEmpty ? "OpenSSL gives no reason" : reasons.joined(separator: "; "))"
        }
    }

    private static func explicitCurve(_ certificate: String?) -> String {
        let command = "openssl pkey -in KEY -ec_param_enc named_curve -out NEW_KEY"
        guard let certificate else {
            return "the key's curve is written out in numbers, which clients refuse: name it (\(command))"
        }
        return "the curve of the key of '\(certificate)' is written out in numbers, which clients refuse:"
            + " name it in the key (\(command)) and have the certificate reissued for that"
    }
}
