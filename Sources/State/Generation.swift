/// An apply that changed something. The file's text is stored separately: it is large, and only the latest texts are
/// kept.
package struct Generation: Sendable, Equatable {
    /// How an apply ended.
    package enum Outcome: String, Sendable {
        /// The apply still runs, or was killed.
        case unfinished
        /// All items are in force.
        case complete
        /// At least one item failed; all others are in force.
        case partial
    }

    /// The generation's number, from 1.
    package var number: Int
    /// When the apply began, in seconds since 1970.
    package var startedAt: Int64
    /// The user and machine that ran the apply.
    package var who: String
    /// The file's name as the operator typed it.
    package var fileName: String
    /// The absolute path of the directory that the file's relative paths are relative to.
    package var directory: String
    /// SHA-256 of the file's text in lower-case hex.
    package var fileHash: String
    package var outcome: Outcome
    /// The counts by action, such as `2 created, 1 issued`.
    package var summary: String

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

/// Something that happened to an item, such as a change, a failed change, or a peer whose certificate was refused. It
/// is recorded for people who investigate later.
package struct AuditEvent: Sendable, Equatable {
    /// When the event happened, in seconds since 1970.
    package var at: Int64
    /// Who caused the event: a user on a machine, a gateway, or a client of the admin API.
    package var actor: String
    /// The action, such as `issue`.
    package var action: String
    package var item: ItemID
    /// Why the action failed, or why the peer was refused; nil after a success. Never contains secrets.
    package var failure: String?
    /// More facts by name, for programs that filter events. Never contains secrets.
    package var details: [String: String]

    package init(
        at: Int64, actor: String, action: String, item: ItemID, failure: String? = nil, details: [String: String] = [:]
    ) {
        self.at = at
        self.actor = actor
        self.action = action
        self.item = item
        self.failure = failure
        self.details = details
    }
}
