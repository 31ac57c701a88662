import PKI

/// Decides what of a client's text an answer may contain. A key or token may have been pasted into any field, so only
/// texts that can be neither go back.
enum HarmlessText {
    /// The most characters of a word: those of a zone identifier of Cloudflare. Cloudflare's keys and tokens have at
    /// least 37 characters, ours have 49, and the lines of a key in PEM have 64.
    private static let mostCharacters = 32
    private static let hidden = "…"

    /// Whether a text has no word that may be a key or a token, and no credential of a URL.
    static func contains(_ text: some StringProtocol) -> Bool {
        !isPEM(text) && !text.contains("@") && words(of: text).allSatisfy(isHarmless)
    }

    static func isPEM(_ text: some StringProtocol) -> Bool { text.contains("-----") }

    /// A message with what it quotes of a client's text, but without words that may be secret.
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

    /// The pointer to an unknown member of an object; to the object if the name may be more than a slip.
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

    /// Long words of lower-case letters alone are parts of host names.
    private static func isHarmless(_ word: Substring) -> Bool {
        word.count <= mostCharacters || word.allSatisfy { ("a"..."z").contains($0) || $0 == "-" }
    }
}
