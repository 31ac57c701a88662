import COpenSSL

/// The groups for key exchange that every version of OpenSSL supports. P-521 is used only where the peer shows a
/// certificate: in TLS 1.2, the curve of a certificate's key must be one of the groups (RFC 8422 section 5.1.1).
package enum TLSGroup: String, Sendable, CaseIterable {
    case x25519 = "X25519"
    case p256 = "P-256"
    case p384 = "P-384"
    case p521 = "P-521"

    /// Chooses the group that a client should offer first when it connects to the same server again. `number` is
    /// OpenSSL's number of the group that the last handshake used.
    init(negotiated number: Int32) {
        switch number {
        case NID_X9_62_prime256v1: self = .p256
        case NID_secp384r1: self = .p384
        case NID_secp521r1: self = .p521
        // After the post-quantum group X25519MLKEM768, X25519 is the right choice too: each client hello has a key
        // share of the post-quantum group anyway.
        default: self = .x25519
        }
    }
}

/// The order in which a client or a server prefers groups for key exchange. OpenSSL 3.5 and later also gets
/// X25519MLKEM768, which resists quantum computers.
enum TLSGroups {
    /// A client that expects the server to choose `first`. OpenSSL 3.5 sends keys for the two groups marked `*`, and
    /// OpenSSL 3.0 for the first group. If the server wants another group, it asks for a second client hello (RFC 8446
    /// section 4.1.4).
    case client(first: TLSGroup)
    /// A server. If a client supports the post-quantum group but sent no key for it, the server asks for a second
    /// client hello. Among the groups after `/`, the server prefers one that the client sent a key for.
    case server
    /// A server that asks its clients for certificates.
    case serverOfCertifiedClients

    private var classic: String {
        let all = TLSGroup.allCases
        let groups =
            switch self {
            case .client(let first): [first] + all.filter { $0 != first }
            case .server: all.filter { $0 != .p521 }
            case .serverOfCertifiedClients: all
            }
        return groups.map(\.rawValue).joined(separator: ":")
    }

    /// The groups in the syntax of OpenSSL 3.5, which earlier versions reject (SSL_CTX_set1_groups_list(3)).
    private var hybrid: String {
        switch self {
        case .client: "*X25519MLKEM768:*\(classic)"
        case .server, .serverOfCertifiedClients: "X25519MLKEM768/\(classic)"
        }
    }

    func set(on context: OpaquePointer) throws(PKIError) {
        ERR_clear_error()
        if unsafe aegis_set_groups(context, hybrid) == 1 { return }
        try unsafe OpenSSL.check("setting up TLS", aegis_set_groups(context, classic))
    }

    /// Sets the groups of one connection, which replace those of its context. Returns false if OpenSSL rejects them.
    func set(for ssl: OpaquePointer) -> Bool {
        ERR_clear_error()
        defer { ERR_clear_error() }
        return unsafe aegis_set_groups_of_one(ssl, hybrid) == 1 || aegis_set_groups_of_one(ssl, classic) == 1
    }
}
