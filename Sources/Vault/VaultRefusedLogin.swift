import PKI

/// The credentials that Vault has last refused. Each refused login counts towards Vault's user lockout: by default, five
/// of them lock an AppRole out for 15 minutes, for all its users and with good credentials too. So the same credentials
/// are not sent again soon. This type does no I/O; times are in seconds since 1970.
struct VaultRefusedLogin: Sendable {
    /// A login's mount and its secrets, hashed.
    typealias Credentials = [UInt8]

    private var refused: (credentials: Credentials, error: VaultError, until: Int64)?

    /// The time until credentials are sent again that another method than AppRole has refused, or whose refusal may be
    /// the lockout itself, in seconds.
    private static let pause: Int64 = 300

    /// The error of the refused login, if these are the same credentials and must not be sent yet; otherwise nil.
    func error(for credentials: Credentials, at now: Int64) -> VaultError? {
        guard let refused, refused.credentials == credentials, now < refused.until else { return nil }
        return refused.error
    }

    /// Records a failed login. An AppRole's wrong secret ID stays wrong, so it is not sent again.
    mutating func record(_ error: VaultError, for credentials: Credentials, isAppRole: Bool, at now: Int64) {
        switch error.status {
        case 400 where isAppRole: refused = (credentials, error, .max)
        case 400, 403: refused = (credentials, error, now + Self.pause)
        default: break
        }
    }
}
