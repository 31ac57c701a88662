/// The values that the metrics show about identities and revocation lists.
struct PeerStatus: Sendable, Equatable {
    struct Identity: Sendable, Equatable {
        /// When the certificate in force expires, in seconds since 1970. Nil if no certificate could be read yet.
        var notAfter: Int64?
        /// How often a new version of the identity was read, and how often reading has failed.
        var refreshes = 0
        var failedRefreshes = 0
        /// Whether peers' expired certificates are accepted (`allow_expired`).
        var allowsExpired = false
    }

    /// The identities, by name.
    var identities: [String: Identity] = [:]
    /// The hosts whose `client_auth` accepts expired certificates.
    var hostsAllowingExpired: Set<String> = []
    /// The earliest next update of the revocation lists in a file, in seconds since 1970. The key is the file's path.
    var nextUpdates: [String: Int64] = [:]
}
