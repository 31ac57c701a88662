import PKI

/// The word by which a CA says where something stands. It may be missing, or in capitals, where it still has one reading; another
/// word is an error.
struct StatusWord<Word: RawRepresentable<String>>: Decodable {
    /// What is said; nil where nothing is.
    let word: Word?
    /// What is odd about it, to stand behind the member's name; nil for nothing.
    let oddity: String?

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        let text = try value.decode(String.self)
        guard let word = Word(rawValue: text) ?? Word(rawValue: text.lowercased()) else {
            throw DecodingError.dataCorruptedError(in: value, debugDescription: "no word that is known")
        }
        self.word = word
        oddity = word.rawValue == text ? nil : "written as '\(text.oneLine(limit: 40))'"
    }

    fileprivate init() { (word, oddity) = (nil, "that is missing") }
}

extension KeyedDecodingContainer {
    /// What synthesized initializers call for such a member, also where it is missing.
    func decode<Word>(_ type: StatusWord<Word>.Type, forKey key: Key) throws -> StatusWord<Word> {
        try decodeIfPresent(type, forKey: key) ?? StatusWord()
    }
}
