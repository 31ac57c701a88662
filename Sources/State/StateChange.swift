/// A place in the history of the state.
package struct StatePosition: Sendable, Equatable {
    /// Raised by every committed change; 0 before the first.
    package var revision: Int
    /// The number of the last apply that changed something; 0 before the first.
    package var generation: Int

    /// A place.
    package init(revision: Int, generation: Int) {
        self.revision = revision
        self.generation = generation
    }

    /// Before anything was applied.
    package static let start = StatePosition(revision: 0, generation: 0)
}

/// One thing that a reader of the state learns. Indirect, since very many are handed on.
package indirect enum StateChange: Sendable, Equatable {
    /// An item other than a certificate was put.
    case item(ItemID, StoredItem)
    /// A certificate was put, or its key sealed anew.
    case certificate(StoredCertificate)
    /// A challenge was put.
    case challenge(ACMEChallenge)
    /// An item was taken out, a certificate too.
    case deleted(ItemID)
    /// A challenge was taken out.
    case challengeDeleted(token: String)
}
