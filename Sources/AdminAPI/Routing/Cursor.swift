import PKI

/// A place in a list: the key of the item before it. For clients it is an opaque word, so its content may change.
struct Cursor: Sendable, Equatable {
    /// The parts of the key, such as a time and a name. None contains a line feed.
    let parts: [String]

    private static let maximumBytes = 2000

    init(_ parts: String...) { self.parts = parts }

    /// Nil for a text that is no cursor with this many parts.
    init?(_ text: String, parts count: Int) {
        guard text.utf8.count <= Self.maximumBytes, let bytes = Base64URL.bytes(text),
            let key = String(validating: bytes, as: UTF8.self)
        else { return nil }
        parts = key.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == count else { return nil }
    }

    var text: String { Base64URL.text(Array(parts.joined(separator: "\n").utf8)) }
}
