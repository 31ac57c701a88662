/// One apply that changed something. The file's text is kept apart: it is large, and goes after a time.
package struct Generation: Sendable, Equatable {
    /// How an apply ended.
    package enum Outcome: String, Sendable {
        /// It has not ended, or was killed.
        case unfinished
        /// All of it is in force.
        case complete
        /// At least one item failed; all others are in force.
        case partial
    }

    /// Its number, from 1.
    package var number: Int
    /// When it began, in seconds since 1970.
    package var startedAt: Int64
    /// Who applied: user and machine.
    package var who: String
    /// The file's name as it was typed.
    package var fileName: String
    /// The absolute path of the directory that relative paths start from.
    package var directory: String
    /// SHA-256 of the file's text in lower-case hex.
    package var fileHash: String
    /// How it ended.
    package var outcome: Outcome
    /// What it did in one line, such as `2 created, 1 issued`.
    package var summary: String

    /// A generation.
    package init(
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
package struct AuditEvent: Sendable, Equatable {
    /// When, in seconds since 1970.
    package var at: Int64
    /// Who did it: `apply` or a node, with user and machine.
    package var actor: String
    /// What was done, such as `issue`.
    package var action: String
    /// What it was done to.
    package var item: ItemID
    /// Why it failed; nil when it did not. Never a secret.
    package var failure: String?

    /// An event.
    package init(at: Int64, actor: String, action: String, item: ItemID, failure: String? = nil) {
        self.at = at
        self.actor = actor
        self.action = action
        self.item = item
        self.failure = failure
    }
}
