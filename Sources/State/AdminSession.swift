/// A link that opens one session of the admin page. The state keeps only the digest of its secret.
package struct LoginLink: Sendable, Equatable {
    /// How long a link can be used after it was made, in seconds.
    package static let lifetimeSeconds: Int64 = 120

    /// SHA-256 of the secret in the link.
    package let digest: [UInt8]
    /// The user and machine that made the link. Events record this name as the author of the session's changes.
    package let createdBy: String
    /// When the link expires, in seconds since 1970.
    package let expiresAt: Int64

    package init(digest: [UInt8], createdBy: String, expiresAt: Int64) {
        self.digest = digest
        self.createdBy = createdBy
        self.expiresAt = expiresAt
    }
}

/// A browser's access to the admin page. The state keeps only the digest of its secret, which the browser has in a cookie.
package struct AdminSession: Sendable, Equatable {
    /// How long a session lasts at most, in seconds.
    package static let lifetimeSeconds: Int64 = 12 * 3600
    /// A session ends after this many seconds without a request.
    package static let idleSeconds: Int64 = 3600
    /// The largest number of sessions in a state. The oldest ends when another one is opened.
    package static let most = 100

    /// SHA-256 of the secret in the cookie.
    package let digest: [UInt8]
    /// The user and machine that made the link.
    package let openedBy: String
    /// When the session was opened, in seconds since 1970.
    package let openedAt: Int64
    /// When the session was last used, in seconds since 1970. Uses are recorded at most once a minute, so a later use
    /// may be missing.
    package var lastUsedAt: Int64

    package init(digest: [UInt8], openedBy: String, openedAt: Int64, lastUsedAt: Int64) {
        self.digest = digest
        self.openedBy = openedBy
        self.openedAt = openedAt
        self.lastUsedAt = lastUsedAt
    }

    package func isOver(at now: Int64) -> Bool {
        now >= openedAt + Self.lifetimeSeconds || now >= lastUsedAt + Self.idleSeconds
    }
}
