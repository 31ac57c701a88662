/// One thing to tell about a configuration file: a fault that stops it, or a doubt that does not.
public struct Diagnostic: Sendable, Equatable {
    /// How much a diagnostic weighs.
    public enum Severity: String, Sendable {
        /// The file can't be used.
        case error
        /// The file works, but perhaps not as meant.
        case warning
    }

    /// A second place that explains the first.
    public struct Note: Sendable, Equatable {
        /// The second place.
        public let position: SourcePosition
        /// What is to be seen there.
        public let message: String
    }

    /// Whether it stops the file.
    public let severity: Severity
    /// Where it is.
    public let position: SourcePosition
    /// What is wrong, in one line. Never quotes a secret.
    public let message: String
    /// What to do about it.
    public let hint: String?
    /// Other places that belong to it.
    public let notes: [Note]
    /// Whether the text at `position` is itself a secret, so that renderers hide it.
    public let hidesSource: Bool

    init(
        _ severity: Severity, at position: SourcePosition, _ message: String, hint: String? = nil, notes: [Note] = [],
        hidesSource: Bool = false
    ) {
        self.severity = severity
        self.position = position
        self.message = message
        self.hint = hint
        self.notes = notes
        self.hidesSource = hidesSource
    }
}

extension Diagnostic {
    /// A doubt that is found outside the model, such as a file that can't be read.
    public static func warning(at origin: SourceOrigin, _ message: String, hint: String? = nil) -> Diagnostic {
        Diagnostic(.warning, at: origin.position, message, hint: hint)
    }
}

/// Collects diagnostics up to a bound, so that a hostile file can't make the list grow without end.
struct DiagnosticList: Sendable {
    /// More faults than this tell nobody anything new.
    static let limit = 10_000

    private(set) var items: [Diagnostic] = []
    private(set) var hasErrors = false

    mutating func append(_ diagnostic: Diagnostic) {
        if diagnostic.severity == .error { hasErrors = true }
        guard items.count < Self.limit else { return }
        items.append(diagnostic)
        if items.count == Self.limit {
            items.append(Diagnostic(.error, at: diagnostic.position, "too many problems; the rest is not shown"))
        }
    }

    /// All diagnostics in the order of the file; those of one place in the order they were found.
    func sorted() -> [Diagnostic] {
        items.enumerated()
            .sorted { ($0.element.position, $0.offset) < ($1.element.position, $1.offset) }
            .map(\.element)
    }
}
