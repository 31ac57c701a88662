/// A message about a configuration file: an error, with which the file can't be used, or a warning.
package struct Diagnostic: Sendable, Equatable {
    package enum Severity: String, Sendable {
        case error
        /// The file can be used, but perhaps does not do what the operator meant.
        case warning
    }

    /// Another place in the file that explains the fault, such as the first of two definitions.
    package struct Note: Sendable, Equatable {
        package let position: SourcePosition
        /// The text of the note, such as `defined here`.
        package let message: String
    }

    package let severity: Severity
    package let position: SourcePosition
    /// The fault, in one line. Never quotes a secret.
    package let message: String
    package let hint: String?
    package let notes: [Note]

    init(
        _ severity: Severity, at position: SourcePosition, _ message: String, hint: String? = nil, notes: [Note] = []
    ) {
        self.severity = severity
        self.position = position
        self.message = message
        self.hint = hint
        self.notes = notes
    }
}

extension Diagnostic {
    /// A warning found outside the model, such as a file that can't be read.
    package static func warning(at origin: SourceOrigin, _ message: String, hint: String? = nil) -> Diagnostic {
        Diagnostic(.warning, at: origin.position, message, hint: hint)
    }

    /// An error found outside the model, such as a private key that does not belong to its certificate.
    package static func error(at origin: SourceOrigin, _ message: String, hint: String? = nil) -> Diagnostic {
        Diagnostic(.error, at: origin.position, message, hint: hint)
    }
}

/// Collects diagnostics up to a limit, so that a hostile file can't fill the memory.
struct DiagnosticList: Sendable {
    /// The most diagnostics of one severity. More of them tell an operator nothing new.
    static let limit = 10_000

    private struct Identity: Hashable {
        let severity: Diagnostic.Severity
        let position: SourcePosition
        let message: String
    }

    private var items: [Diagnostic] = []
    private var counts: [Diagnostic.Severity: Int] = [:]
    /// The identities of `items`, to find duplicates.
    private var seen: Set<Identity> = []

    var hasErrors: Bool { counts[.error] != nil }

    /// Adds a diagnostic. A duplicate is dropped and does not count towards the limit: a fault in an anchored value is
    /// found again at each alias.
    mutating func append(_ diagnostic: Diagnostic) {
        let identity = Identity(
            severity: diagnostic.severity, position: diagnostic.position, message: diagnostic.message)
        guard !seen.contains(identity) else { return }
        let count = counts[diagnostic.severity, default: 0]
        counts[diagnostic.severity] = count + 1
        guard count < Self.limit else { return }
        seen.insert(identity)
        items.append(diagnostic)
    }

    /// All diagnostics in the order of the file. Diagnostics at the same place keep the order in which they were added.
    /// When a severity exceeds the limit, a final diagnostic says so.
    func sorted() -> [Diagnostic] {
        var sorted = items.enumerated()
            .sorted { ($0.element.position, $0.offset) < ($1.element.position, $1.offset) }
            .map(\.element)
        for (severity, noun) in [(Diagnostic.Severity.warning, "warnings"), (.error, "errors")]
        where counts[severity, default: 0] > Self.limit {
            let place = sorted.last?.position ?? .start
            sorted.append(Diagnostic(severity, at: place, "too many \(noun); the rest is not shown"))
        }
        return sorted
    }
}
