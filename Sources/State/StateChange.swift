package struct StatePosition: Sendable, Equatable {
    /// Incremented by every commit that changes what is served; 0 before the first.
    package var revision: Int
    /// The number of the last apply that changed something; 0 before the first.
    package var generation: Int

    package init(revision: Int, generation: Int) {
        self.revision = revision
        self.generation = generation
    }

    /// The position before the first apply.
    package static let start = StatePosition(revision: 0, generation: 0)
}

/// A change that a reader of the state gets. Indirect, since very many changes are passed on and a pointer costs less
/// than a copy of the value.
package indirect enum StateChange: Sendable, Equatable {
    /// An item other than a certificate was added or changed.
    case item(ItemID, StoredItem)
    /// A certificate was added or changed, or its key was resealed.
    case certificate(StoredCertificate)
    case challenge(ACMEChallenge)
    /// An item was deleted, which may be a certificate.
    case deleted(ItemID)
    case challengeDeleted(token: String)
}
