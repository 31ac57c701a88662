/// One thing to tell about a configuration file: a fault that stops it, or a doubt that does not.
package struct Diagnostic: Sendable, Equatable {
    /// How much a diagnostic weighs.
    package enum Severity: String, Sendable {
        /// The file can't be used.
        case error
        /// The file works, but perhaps not as meant.
        case warning
    }

    /// A second place that explains the first.
    package struct Note: Sendable, Equatable {
        /// The second place.
        package let position: SourcePosition
        /// What is to be seen there.
        package let message: String
    }

    /// Whether it stops the file.
    package let severity: Severity
    /// Where it is.
    package let position: SourcePosition
    /// What is wrong, in one line. Never quotes a secret.
    package let message: String
    /// What to do about it.
    package let hint: String?
    /// Other places that belong to it.
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
    /// A doubt that is found outside the model, such as a file that can't be read.
    package static func warning(at origin: SourceOrigin, _ message: String, hint: String? = nil) -> Diagnostic {
        Diagnostic(.warning, at: origin.position, message, hint: hint)
    }

    /// What is found outside the model and is refused for sure, such as a key that does not belong to its certificate.
    package static func error(at origin: SourceOrigin, _ message: String, hint: String? = nil) -> Diagnostic {
        Diagnostic(.error, at: origin.position, message, hint: hint)
    }
}

/// Collects diagnostics up to a bound, so that a hostile file can't make the list grow without end.
struct DiagnosticList: Sendable {
    /// More of a kind than this tell nobody anything new.
    static let limit = 10_000

    private struct Identity: Hashable {
        let position: SourcePosition
        let message: String
    }

    private var items: [Diagnostic] = []
    private var counts: [Diagnostic.Severity: Int] = [:]
    private var seen: Set<Identity> = []

    var hasErrors: Bool { counts[.error] != nil }

    /// Takes a diagnostic in, unless it was told before: a fault in an anchored value is met wherever it is used.
    mutating func append(_ diagnostic: Diagnostic) {
        let count = counts[diagnostic.severity, default: 0]
        counts[diagnostic.severity] = count + 1
        guard count < Self.limit,
            seen.insert(Identity(position: diagnostic.position, message: diagnostic.message)).inserted
        else { return }
        items.append(diagnostic)
    }

    /// All diagnostics in the order of the file; those of one place in the order they were found.
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
