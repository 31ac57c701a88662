import PKI

/// The CA and the key for certificates of names for which the state has none. All these certificates share the key.
struct FallbackSource: Sendable {
    let authority: CertificateAuthority
    let key: PrivateKey
    /// The certificate for the admin listener, whatever name the client sends. Most clients connect to an address,
    /// which TLS does not tell the server (RFC 6066 section 3). If nil, the listener gets a certificate as other names
    /// do.
    var admin: TLSCredential?

    /// Creates a source with a new key.
    init(authority: CertificateAuthority) throws(PKIError) {
        self.authority = authority
        key = try PrivateKey.generate(.ecdsaP256)
    }
}

/// The certificates that a worker has issued for names without one in the state. Every handshake gets a certificate;
/// the client decides whether to trust it. Confined to the worker's thread.
final class FallbackCertificates {
    /// How many certificates are kept. When a new one would exceed this number, all old ones are dropped.
    private static let limit = 512
    /// The validity of a certificate, in seconds. A certificate is replaced after half of that time.
    private static let lifetimeSeconds: Int64 = 14 * 86_400

    let source: FallbackSource
    private var made: [String: (credential: TLSCredential, at: Int64)] = [:]

    init(_ source: FallbackSource) { self.source = source }

    /// A certificate for the name, or for `localhost` if there is no name or a certificate can't contain it. Nil when
    /// issuing fails.
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
