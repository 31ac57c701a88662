/// What the state holds, as far as planning needs it.
public struct StateSnapshot: Sendable {
    /// The number of the last apply that changed something; 0 before the first.
    public var generation: Int
    /// Everything in the state.
    public var items: [ItemID: StoredItem]

    /// A snapshot.
    public init(generation: Int, items: [ItemID: StoredItem]) {
        self.generation = generation
        self.items = items
    }

    /// The state before the first apply.
    public static let empty = StateSnapshot(generation: 0, items: [:])
}

/// One item of the state.
public struct StoredItem: Sendable {
    /// Who put an item into the state.
    public enum Owner: Sendable {
        /// The file, by an apply; it goes when the file no longer names it.
        case file
        /// The admin API; apply leaves it alone.
        case api
    }

    /// Who put it there.
    public var owner: Owner
    /// The compact record in JSON (see `Recorded`).
    public var record: [UInt8]

    /// An item.
    public init(owner: Owner, record: [UInt8]) {
        self.owner = owner
        self.record = record
    }
}
