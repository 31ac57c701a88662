import PKI

/// The word by which a CA tells the state of an object. A missing word and a word in capitals are accepted, since both
/// have only one reading; an unknown word is an error.
struct StatusWord<Word: RawRepresentable<String>>: Decodable {
    /// The word; nil where it is missing.
    let word: Word?
    /// A note on a missing word or on capitals, to follow the member's name; nil when the word is as it should be.
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
    /// Synthesized initializers call this overload for a StatusWord, also when the member is missing.
    func decode<Word>(_ type: StatusWord<Word>.Type, forKey key: Key) throws -> StatusWord<Word> {
        try decodeIfPresent(type, forKey: key) ?? StatusWord()
    }
}
