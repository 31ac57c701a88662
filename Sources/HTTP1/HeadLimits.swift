/// How large a head may be.
public struct HeadLimits: Equatable, Sendable {
    /// The bytes of a whole head, from its first to its empty line: above it 431, or 414 while it is the first line.
    public let maxHeadBytes: Int
    /// How many fields; each crumb of a Cookie and each option of a Connection counts as one. Above it 431.
    public let maxFields: Int
    /// The bytes of a request's target: above it 414.
    public let maxTargetBytes: Int

    /// The most that `maxHeadBytes` can be: 16 MiB.
    public static let greatestHeadBytes = 16 << 20

    /// Limits; a head's is brought down to `greatestHeadBytes`.
    public init(maxHeadBytes: Int = 32 << 10, maxFields: Int = 100, maxTargetBytes: Int = 8 << 10) {
        self.maxHeadBytes = min(maxHeadBytes, Self.greatestHeadBytes)
        self.maxFields = maxFields
        self.maxTargetBytes = maxTargetBytes
    }
}
