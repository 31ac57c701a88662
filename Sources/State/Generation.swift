/// One apply that changed something. The file's text is kept apart: it is large, and goes after a time.
public struct Generation: Sendable, Equatable {
    /// How an apply ended.
    public enum Outcome: String, Sendable {
        /// It has not ended, or was killed.
        case unfinished
        /// All of it is in force.
        case complete
        /// At least one item failed; all others are in force.
        case partial
    }

    /// Its number, from 1.
    public var number: Int
    /// When it began, in seconds since 1970.
    public var startedAt: Int64
    /// Who applied: user and machine.
    public var who: String
    /// The file's name as it was typed.
    public var fileName: String
    /// The absolute path of the directory that relative paths start from.
    public var directory: String
    /// SHA-256 of the file's text in lower-case hex.
    public var fileHash: String
    /// How it ended.
    public var outcome: Outcome
    /// What it did in one line, such as `2 created, 1 issued`.
    public var summary: String

    /// A generation.
    public init(
        number: Int, startedAt: Int64, who: String, fileName: String, directory: String, fileHash: String,
        outcome: Outcome, summary: String
    ) {
        self.number = number
        self.startedAt = startedAt
        self.who = who
        self.fileName = fileName
        self.directory = directory
        self.fileHash = fileHash
        self.outcome = outcome
        self.summary = summary
    }
}

/// Something that was done to an item, or failed: kept for people who ask later.
public struct AuditEvent: Sendable, Equatable {
    /// When, in seconds since 1970.
    public var at: Int64
    /// Who did it: `apply` or a node, with user and machine.
    public var actor: String
    /// What was done, such as `issue`.
    public var action: String
    /// What it was done to.
    public var item: ItemID
    /// Why it failed; nil when it did not. Never a secret.
    public var failure: String?

    /// An event.
    public init(at: Int64, actor: String, action: String, item: ItemID, failure: String? = nil) {
        self.at = at
        self.actor = actor
        self.action = action
        self.item = item
        self.failure = failure
    }
}
