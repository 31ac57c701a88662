import COpenSSL

/// The groups for key exchange as one end of connections wants them: with the one that is safe from quantum computers where
/// this OpenSSL has it (3.5 and later), else without.
enum TLSGroups {
    /// A client's. It offers keys for the first two at once (`*`): with one alone, each server that lacks that group would
    /// ask for another hello (RFC 8446 section 4.1.4).
    case client
    /// A server's. It asks those for another hello who could be safe from quantum computers and have sent no key for it;
    /// among the rest (behind `/`), the group that a client has sent a key for is as good as any.
    case server

    private static let classic = "X25519:P-256:P-384"

    /// In the syntax of OpenSSL 3.5, which earlier versions refuse (SSL_CTX_set1_groups_list(3)).
    private var hybrid: String {
        switch self {
        case .client: "*X25519MLKEM768:*X25519:P-256:P-384"
        case .server: "X25519MLKEM768/\(Self.classic)"
        }
    }

    func set(on context: OpaquePointer) throws(PKIError) {
        ERR_clear_error()
        if unsafe aegis_set_groups(context, hybrid) == 1 { return }
        try unsafe OpenSSL.check("setting up TLS", aegis_set_groups(context, Self.classic))
    }
}
