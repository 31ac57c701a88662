/// Limits for the size of a head.
public struct HeadLimits: Equatable, Sendable {
    /// The most bytes of a head, including its empty line. A longer request gets 431, or 414 when the limit falls
    /// within the first line.
    public let maxHeadBytes: Int
    /// The most fields. Each cookie of a Cookie field counts as one. A request with more fields gets 431.
    public let maxFields: Int
    /// The most options of Connection that may name a field to remove. The number bounds the work, since each such
    /// option is compared with all fields.
    static let maxNominated = 32
    /// The most bytes of a request's target. A request with a longer target gets 414.
    public let maxTargetBytes: Int

    /// The upper bound of `maxHeadBytes`: 16 MiB.
    public static let greatestHeadBytes = 16 << 20

    /// Creates the limits; `maxHeadBytes` is lowered to `greatestHeadBytes`.
    public init(maxHeadBytes: Int = 32 << 10, maxFields: Int = 1000, maxTargetBytes: Int = 8 << 10) {
        self.maxHeadBytes = min(maxHeadBytes, Self.greatestHeadBytes)
        self.maxFields = maxFields
        self.maxTargetBytes = maxTargetBytes
    }
}
