import COpenSSL

/// A group for key exchange that every version of OpenSSL supports.
package enum TLSGroup: String, Sendable, CaseIterable {
    case x25519 = "X25519"
    case p256 = "P-256"
    case p384 = "P-384"

    /// The group that a client should offer first when it connects to the same server again. `number` is OpenSSL's for
    /// the group that the last handshake ended with.
    init(negotiated number: Int32) {
        switch number {
        case NID_X9_62_prime256v1: self = .p256
        case NID_secp384r1: self = .p384
        // This is also right after the post-quantum group, whose key each hello contains anyway.
        default: self = .x25519
        }
    }
}

/// The order in which one end of a connection prefers groups for key exchange. OpenSSL 3.5 and later also gets
/// X25519MLKEM768, which is safe from quantum computers.
enum TLSGroups {
    /// A client's order, when it expects the server to choose `first`. OpenSSL 3.5 sends keys for the first two groups
    /// (`*`), 3.0 for the first one. A server that wants another group asks for a second hello (RFC 8446 section
    /// 4.1.4).
    case client(first: TLSGroup)
    /// A server's order. It asks for a second hello from clients that support the post-quantum group but sent no key
    /// for it. Among the other groups, behind `/`, it takes one that the client sent a key for.
    case server

    private var classic: String {
        var groups = TLSGroup.allCases
        if case .client(let first) = self { groups = [first] + groups.filter { $0 != first } }
        return groups.map(\.rawValue).joined(separator: ":")
    }

    /// The order in the syntax of OpenSSL 3.5, which earlier versions refuse (SSL_CTX_set1_groups_list(3)).
    private var hybrid: String {
        switch self {
        case .client: "*X25519MLKEM768:*\(classic)"
        case .server: "X25519MLKEM768/\(classic)"
        }
    }

    func set(on context: OpaquePointer) throws(PKIError) {
        ERR_clear_error()
        if unsafe aegis_set_groups(context, hybrid) == 1 { return }
        try unsafe OpenSSL.check("setting up TLS", aegis_set_groups(context, classic))
    }

    /// Sets the groups of one connection, in place of its context's. False when OpenSSL refuses them.
    func set(for ssl: OpaquePointer) -> Bool {
        ERR_clear_error()
        defer { ERR_clear_error() }
        return unsafe aegis_set_groups_of_one(ssl, hybrid) == 1 || aegis_set_groups_of_one(ssl, classic) == 1
    }
}
