import PKI

/// The `status` of an object in a CA's answer. A missing status and a status in capitals are accepted, since their
/// meaning is clear. An unknown word is an error.
struct StatusWord<Word: RawRepresentable<String>>: Decodable {
    /// The status. Nil if it is missing.
    let word: Word?
    /// The note for the operator if the status is missing or in capitals, otherwise nil. A message puts the note after
    /// the name of the member.
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
    /// Synthesized initializers call this overload for StatusWord members. It also accepts an object without the
    /// member.
    func decode<Word>(_ type: StatusWord<Word>.Type, forKey key: Key) throws -> StatusWord<Word> {
        try decodeIfPresent(type, forKey: key) ?? StatusWord()
    }
}
