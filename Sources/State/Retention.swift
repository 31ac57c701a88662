/// How much of the past a state keeps. What is older goes with the end of an apply.
package struct Retention: Sendable {
    /// How many generations keep the file's text; older ones keep their line in the history.
    package var generationTexts: Int
    /// How many events are kept.
    package var events: Int
    /// How many deletions are kept for readers that ask what has changed; who asks for older changes reads everything.
    package var deletions: Int
    /// For how long certificates are kept for when their names come back, in seconds; at most until they expire.
    package var certificateSeconds: Int64

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
