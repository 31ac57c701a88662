/// A token for the admin API. The state keeps only its digest, so nobody can read the token from the state.
package struct AccessToken: Sendable, Equatable {
    /// What a client with the token may do.
    package enum Scope: String, Sendable, CaseIterable {
        /// Read everything except secrets.
        case read
        /// Read as with `read`, and make the changes that the API offers.
        case write
    }

    /// The largest number of tokens in a state.
    package static let most = 1000

    /// The token's name. Operators revoke the token by this name, and events record it as the author of changes.
    package let name: String
    package let scope: Scope
    /// SHA-256 of the token's text.
    package let digest: [UInt8]
    /// When the token was made, in seconds since 1970.
    package let createdAt: Int64
    /// The user and machine that made the token.
    package let createdBy: String
    /// When the token expires, in seconds since 1970; nil for never.
    package let expiresAt: Int64?
    /// When the token was last used, in seconds since 1970; nil if it was never used. Uses are recorded at most once a
    /// minute, so a later use may be missing.
    package var lastUsedAt: Int64?

    package init(
        name: String, scope: Scope, digest: [UInt8], createdAt: Int64, createdBy: String, expiresAt: Int64?,
        lastUsedAt: Int64? = nil
    ) {
        self.name = name
        self.scope = scope
        self.digest = digest
        self.createdAt = createdAt
        self.createdBy = createdBy
        self.expiresAt = expiresAt
        self.lastUsedAt = lastUsedAt
    }

    package func isExpired(at now: Int64) -> Bool { expiresAt.map { $0 <= now } ?? false }
}
