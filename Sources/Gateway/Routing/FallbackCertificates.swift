import PKI

/// What certificates are made of when the state has none for a name: the local CA, and one key for all of them.
struct FallbackSource: Sendable {
    let authority: CertificateAuthority
    let key: PrivateKey
    /// What the admin listener shows, whatever the name that is asked for: most clients ask for its address, and TLS does not
    /// tell that to a server (RFC 6066 section 3). Nil for a certificate like the others'.
    var admin: TLSCredential?

    /// With a key of its own.
    init(authority: CertificateAuthority) throws(PKIError) {
        self.authority = authority
        key = try PrivateKey.generate(.ecdsaP256)
    }
}

/// The certificates that a worker has made for names without one. Every handshake gets a certificate; whether a client
/// trusts it is the client's matter. Confined to the worker's thread.
final class FallbackCertificates {
    /// How many are kept; when there are more, all are forgotten.
    private static let limit = 512
    /// How long one lasts, in seconds. After half of that it is made anew.
    private static let lifetimeSeconds: Int64 = 14 * 86_400

    let source: FallbackSource
    private var made: [String: (credential: TLSCredential, at: Int64)] = [:]

    init(_ source: FallbackSource) { self.source = source }

    /// A certificate for a name, or for `localhost` when there is none that a certificate can have; nil when even that
    /// can't be made.
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
