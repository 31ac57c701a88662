import COpenSSL

/// A group for key exchange that every OpenSSL has.
package enum TLSGroup: String, Sendable, CaseIterable {
    case x25519 = "X25519"
    case p256 = "P-256"
    case p384 = "P-384"

    /// The group that a client's next hello to the same server had better bring a key for, when a handshake has ended with one
    /// of this number of OpenSSL's.
    init(negotiated number: Int32) {
        switch number {
        case NID_X9_62_prime256v1: self = .p256
        case NID_secp384r1: self = .p384
        // The one that is safe from quantum computers has its key in each hello.
        default: self = .x25519
        }
    }
}

/// The groups for key exchange as one end of connections wants them: with the one that is safe from quantum computers where
/// this OpenSSL has it (3.5 and later), else without.
enum TLSGroups {
    /// A client's, who expects the server to choose `first`. With 3.5 it offers keys for the first two at once (`*`), with 3.0
    /// for the first: each server that lacks these asks for another hello (RFC 8446 section 4.1.4).
    case client(first: TLSGroup)
    /// A server's. It asks those for another hello who could be safe from quantum computers and have sent no key for it;
    /// among the rest (behind `/`), the group that a client has sent a key for is as good as any.
    case server

    private var classic: String {
        var groups = TLSGroup.allCases
        if case .client(let first) = self { groups = [first] + groups.filter { $0 != first } }
        return groups.map(\.rawValue).joined(separator: ":")
    }

    /// In the syntax of OpenSSL 3.5, which earlier versions refuse (SSL_CTX_set1_groups_list(3)).
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

    /// Sets them for one connection, whatever its context has; false when OpenSSL refuses it.
    func set(for ssl: OpaquePointer) -> Bool {
        ERR_clear_error()
        defer { ERR_clear_error() }
        return unsafe aegis_set_groups_of_one(ssl, hybrid) == 1 || aegis_set_groups_of_one(ssl, classic) == 1
    }
}
