import PKI

/// The CA and the key of fallback certificates. A fallback certificate is issued for a name that has no certificate in
/// the state. All fallback certificates have the same key.
struct FallbackSource: Sendable {
    let authority: CertificateAuthority
    let key: PrivateKey
    /// The admin listener uses this certificate for every client. Most clients connect to an IP address, and TLS does
    /// not tell the server which address a client has used (RFC 6066 section 3). If nil, the admin listener uses
    /// fallback certificates.
    var admin: TLSCredential?

    /// Generates a new key.
    init(authority: CertificateAuthority) throws(PKIError) {
        self.authority = authority
        key = try PrivateKey.generate(.ecdsaP256)
    }
}

/// The fallback certificates that a worker has issued. A handshake gets a fallback certificate if the state has no
/// certificate for the name, and the client decides whether to trust it. Only the worker's thread may use this class.
final class FallbackCertificates {
    /// The largest number of certificates kept. A certificate beyond this number replaces all old certificates.
    private static let limit = 512
    /// How long a certificate is valid, in seconds. After half of this time a new certificate is issued.
    private static let lifetimeSeconds: Int64 = 14 * 86_400

    let source: FallbackSource
    private var made: [String: (credential: TLSCredential, at: Int64)] = [:]

    init(_ source: FallbackSource) { self.source = source }

    /// Returns a certificate for the name, or for `localhost` if there is no name or the name can't be in a
    /// certificate. Returns nil if issuing fails.
    func credential(for key: HostKey?, now: Int64) -> TLSCredential? {
        let name = key.flatMap { $0.isHostName ? $0.text : nil } ?? "localhost"
        if let known = made[name], now - known.at < Self.lifetimeSeconds / 2 { return known.credential }
        guard let credential = make(name, now) ?? (name == "localhost" ? nil : make("localhost", now)) else {
            return nil
        }
        if made.count >= Self.limit { made.removeAll(keepingCapacity: true) }
        made[name] = (credential, now)
        return credential
    }

    private func make(_ name: String, _ now: Int64) -> TLSCredential? {
        guard let subject = try? SubjectName(name),
            let leaf = try? source.authority.issue(
                for: source.key, names: [subject], now: now, lifetimeSeconds: Self.lifetimeSeconds)
        else { return nil }
        return try? TLSCredential(chain: [leaf.der, source.authority.certificate.der], key: source.key)
    }
}
