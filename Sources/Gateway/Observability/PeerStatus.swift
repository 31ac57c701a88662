/// What the metrics tell of the gateway's identities and of revocation lists.
struct PeerStatus: Sendable, Equatable {
    struct Identity: Sendable, Equatable {
        /// The end of the certificate in force, in seconds since 1970. Nil if no certificate could be read yet.
        var notAfter: Int64?
        /// How often the identity was read with another content, and how often that failed.
        var refreshes = 0
        var failedRefreshes = 0
    }

    /// By the identity's name.
    var identities: [String: Identity] = [:]
    /// The earliest next update of the lists in a file, in seconds since 1970, by the file's path.
    var nextUpdates: [String: Int64] = [:]
}
