import PKI

/// Decides what of a client's text an answer may contain. A key or token may have been pasted into any field, so an
/// answer contains only texts that can be neither.
enum HarmlessText {
    /// The most characters of a word that an answer may contain: as many as a zone identifier of Cloudflare has.
    /// Cloudflare's keys and tokens have at least 37 characters, ours have 49, and the lines of a key in PEM have 64.
    private static let mostCharacters = 32
    private static let hidden = "…"

    /// Whether an answer may contain a text: it is no PEM, has no `@`, as in a URL with a password, and no word of it
    /// can be a key or a token.
    static func contains(_ text: some StringProtocol) -> Bool {
        !isPEM(text) && !text.contains("@") && words(of: text).allSatisfy(isHarmless)
    }

    static func isPEM(_ text: some StringProtocol) -> Bool { text.contains("-----") }

    /// A message that may quote a client's text. Words that may be secret are replaced by `…`.
    static func message(_ text: String) -> String {
        var shown = ""
        var rest = text[...]
        while let start = rest.firstIndex(where: isPart) {
            let word = rest[start...].prefix(while: isPart)
            shown += rest[..<start]
            shown += isHarmless(word) ? String(word) : hidden
            rest = rest[word.endIndex...]
        }
        return shown + rest
    }

    /// A JSON pointer up to the first name that may be secret.
    static func pointer(_ pointer: String) -> String {
        pointer.split(separator: "/").prefix(while: contains).map { "/\($0)" }.joined()
    }

    /// The pointer to an unknown member of an object. If the member's name may be a secret rather than a misspelt key,
    /// the pointer to the object.
    static func pointer(toMember name: String) -> String {
        name.count <= mostCharacters && name.allSatisfy { ("a"..."z").contains($0) || $0 == "_" } ? "/\(name)" : ""
    }

    /// The certificates in a text, in PEM. Empty if the text can't be read.
    static func certificates(in text: String) -> String {
        guard let certificates = try? PEM.certificates(in: Array(text.utf8)) else { return "" }
        return certificates.compactMap { der in try? Certificate(der: der).pem }.joined()
    }

    private static func words(of text: some StringProtocol) -> [Substring] {
        Substring(text).split { !isPart($0) }
    }

    private static func isPart(_ character: Character) -> Bool {
        character.isLetter || character.isNumber || "-_+=".contains(character)
    }

    /// A long word of nothing but lower-case letters and hyphens is taken for a part of a host name.
    private static func isHarmless(_ word: Substring) -> Bool {
        word.count <= mostCharacters || word.allSatisfy { ("a"..."z").contains($0) || $0 == "-" }
    }
}
