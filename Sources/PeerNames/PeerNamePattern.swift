/// A pattern that matches one or more names of peers.
///
/// In a host name, a leading `*.` stands for one label. In the path of a URI, `*` stands for one whole segment. IP
/// addresses and e-mail addresses can't have wildcards.
package struct PeerNamePattern: Sendable, Hashable {
    /// The name to match, perhaps with wildcards (`*`).
    private let pattern: PeerName
    private let segments: [Substring]
    private let hasWildcard: Bool

    /// The pattern that matches this name alone.
    package init(_ name: PeerName) { self.init(name, separator: "/", hasWildcard: false) }

    /// Reads a pattern. Its form shows its kind: an address, a URI, an e-mail address, or else a host name. Returns nil
    /// for any other text. A host name whose last label is a number is refused, since it is a mistyped address.
    package init?(_ text: String) {
        let pattern =
            PeerNamePattern(address: text) ?? PeerNamePattern(uri: text) ?? PeerNamePattern(email: text)
            ?? PeerNamePattern(hostName: text)
        guard let pattern else { return nil }
        if case .dns(let name) = pattern.pattern, name.split(separator: ".").last?.allSatisfy(\.isNumber) ?? true {
            return nil
        }
        self = pattern
    }

    /// Reads a host name that may begin with `*.`. Returns nil for any other text.
    package init?(hostName text: String) {
        let isWildcard = text.hasPrefix("*.")
        guard case .dns(let name)? = PeerName(hostName: Array((isWildcard ? String(text.dropFirst(2)) : text).utf8))
        else {
            return nil
        }
        self.init(.dns(isWildcard ? "*." + name : name), separator: ".", hasWildcard: isWildcard)
    }

    /// Reads a URI in whose path whole segments may be `*`. Returns nil for any other text.
    package init?(uri text: String) {
        guard let name = PeerName(uri: Array(text.utf8)) else { return nil }
        let segments = name.text.split(separator: "/", omittingEmptySubsequences: false)
        // The first three segments are the scheme, an empty text between the slashes, and the authority. Wildcards are
        // allowed only after these.
        guard segments.prefix(3).allSatisfy({ !$0.contains("*") }),
            segments.allSatisfy({ $0 == "*" || !$0.contains("*") })
        else { return nil }
        self.init(name, separator: "/", hasWildcard: segments.contains("*"))
    }

    /// Reads an IP address. Returns nil for any other text.
    package init?(address text: String) {
        guard let bytes = AddressText.bytes(of: text), let name = PeerName(address: bytes) else { return nil }
        self.init(name)
    }

    /// Reads an e-mail address. Returns nil for any other text.
    package init?(email text: String) {
        guard !text.contains("*"), let name = PeerName(email: Array(text.utf8)) else { return nil }
        self.init(name)
    }

    private init(_ pattern: PeerName, separator: Character, hasWildcard: Bool) {
        self.pattern = pattern
        self.hasWildcard = hasWildcard
        segments = hasWildcard ? pattern.text.split(separator: separator, omittingEmptySubsequences: false) : []
    }

    /// The one name that the pattern matches; nil for a wildcard.
    package var name: PeerName? { hasWildcard ? nil : pattern }

    /// The pattern without a label such as `DNS:`. `init(_:)` reads it as the same pattern.
    package var text: String { pattern.text }

    /// The pattern with a label such as `DNS:`. Patterns that match the same names have the same text.
    package var labeledText: String { pattern.labeledText }

    package func matches(_ name: PeerName) -> Bool {
        guard hasWildcard else { return name == pattern }
        let separator: Character
        switch (pattern, name) {
        case (.dns, .dns): separator = "."
        case (.uri, .uri): separator = "/"
        default: return false
        }
        let parts = name.text.split(separator: separator, omittingEmptySubsequences: false)
        return parts.count == segments.count
            && zip(segments, parts).allSatisfy { segment, part in segment == "*" || segment == part }
    }
}
