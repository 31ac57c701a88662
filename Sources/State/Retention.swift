/// How much history a state keeps. The last commit of each apply deletes what exceeds it.
package struct Retention: Sendable {
    /// How many of the latest generations keep the file's text. Older generations keep only their line in the history.
    package var generationTexts: Int
    /// How many events are kept. Events about peers whose certificates were refused have a limit of their own
    /// (`refusals`).
    package var events: Int
    /// How many deletions are kept for readers of changes. A reader that asks for older deletions must read everything.
    package var deletions: Int
    /// How long the certificates of deleted items are kept for reuse, in seconds. None is kept after it expires.
    package var certificateSeconds: Int64

    /// How many events about peers whose certificates were refused are kept, besides `events`.
    package static let refusals = 1000

    /// The value of `generationTexts` that each apply uses.
    package static let keptGenerationTexts = 100

    /// `certificateSeconds` is the file's `state.retention`.
    package init(
        certificateSeconds: Int64, generationTexts: Int = keptGenerationTexts, events: Int = 10_000,
        deletions: Int = 100_000
    ) {
        self.certificateSeconds = certificateSeconds
        self.generationTexts = generationTexts
        self.events = events
        self.deletions = deletions
    }
}
