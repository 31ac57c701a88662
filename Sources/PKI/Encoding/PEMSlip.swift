/// A mistake in a PEM text because of which other programs silently skip a block:
/// - a damaged BEGIN or END line, for example with a missing dash or letters in lower case;
/// - an END line without a BEGIN line;
/// - base64 without a BEGIN line.
struct PEMSlip {
    private enum Kind { case damaged, isAlone, isGlued, isBody }

    private let kind: Kind
    private let label: String
    private let isEnd: Bool

    /// Reports an END line that no BEGIN line precedes.
    init(endOf label: String) { (kind, self.label, isEnd) = (.isAlone, label, true) }

    /// Detects base64 that no BEGIN line precedes. Returns nil for other lines. DER of more than 127 bytes starts with
    /// "MI" in base64. Comments beside blocks hardly ever contain a word as long as `leastBodyBytes`.
    init?(bodyOutside line: Range<Int>, of text: Span<UInt8>) {
        guard line.count >= Self.leastBodyBytes, text[line.lowerBound] == UInt8(ascii: "M"),
            text[line.lowerBound + 1] == UInt8(ascii: "I"), PEM.isBase64(line, of: text)
        else { return nil }
        (kind, label, isEnd) = (.isBody, "CERTIFICATE", false)
    }

    /// A shorter line does not count as base64. PEM has 64 characters per line (RFC 7468 section 2), but some programs
    /// write 60.
    private static let leastBodyBytes = 60

    /// Detects a damaged BEGIN or END line. Returns nil for lines that are probably not meant as such a line, and for
    /// comments (`#`) outside of blocks.
    init?(_ line: Range<Int>, of text: Span<UInt8>, isInBlock: Bool) {
        guard let first = line.first, isInBlock || text[first] != UInt8(ascii: "#") else { return nil }
        var words: [(isEnd: Bool, label: String)] = []
        var (position, hasDashes) = (first, false)
        while position < line.upperBound {
            let dashes = Self.dashes(from: position, to: line.upperBound, of: text)
            hasDashes = hasDashes || dashes >= 2
            if dashes >= 2 || position == first, words.count < 2,
                let word = Self.boundary(from: position + dashes, to: line.upperBound, of: text)
            {
                words.append(word)
            }
            position += max(1, dashes)
        }
        guard hasDashes, let word = words.first else { return nil }
        (isEnd, label) = word
        kind = words.count == 2 && isEnd && !words[1].isEnd ? .isGlued : .damaged
    }

    /// Detects a label in lower case or with a spelling mistake. Returns nil for correct and for unknown labels.
    init?(boundary label: String, isEnd: Bool) {
        let proper = Self.proper(label)
        let meant = Self.isKnown(proper) ? proper : Self.labels.first { Self.isNear($0, proper) }
        guard let meant, meant != label else { return nil }
        (kind, self.label, self.isEnd) = (.damaged, meant, isEnd)
    }

    /// The error for the operator. `position` is the offset of the faulty line.
    func error(at position: Int, in text: Span<UInt8>) -> PKIError {
        let reason =
            switch kind {
            case .damaged:
                "is damaged: it must read '-----\(isEnd ? "END" : "BEGIN") \(label)-----' and hold nothing else"
            case .isAlone:
                "ends a block '\(label)' that does not begin: '-----BEGIN \(label)-----' is missing or damaged"
            case .isBody:
                "begins a block without the line '-----BEGIN \(label)-----', or another one of the kind, before it"
            case .isGlued: "ends one block and begins the next: put a line break between them"
            }
        return .malformed("PEM text", reason: "line \(PEM.lineNumber(of: position, in: text)) \(reason)")
    }

    /// The number of bytes in the run of dashes at `start`. Word processors replace two hyphens by one long dash, which
    /// has three bytes in UTF-8.
    private static func dashes(from start: Int, to end: Int, of text: Span<UInt8>) -> Int {
        var position = start
        while position < end {
            if text[position] == UInt8(ascii: "-") {
                position += 1
            } else if position + 2 < end, text[position] == 0xE2, text[position + 1] == 0x80,
                (0x90...0x95).contains(text[position + 2])
            {
                position += 3
            } else {
                break
            }
        }
        return position - start
    }

    /// Reads BEGIN or END and a known label. Returns nil if other words follow, since the line is then a sentence.
    /// Dashes or base64 may follow.
    private static func boundary(from start: Int, to end: Int, of text: Span<UInt8>) -> (isEnd: Bool, label: String)? {
        var words: [String] = []
        var position = start
        // The longest known label has three words, so six words are enough to see that other words follow.
        while position < end, words.count < 6 {
            if isLetter(text[position]) {
                let word = position..<((position..<end).first { !isLetter(text[$0]) } ?? end)
                // No word of a boundary line is so long, so this must be base64.
                guard word.count <= 16 else { break }
                words.append(String(decoding: word.map { text[$0] }, as: UTF8.self).uppercased())
                position = word.upperBound
            } else if words.count > 1, text[position] == UInt8(ascii: "-") {
                break
            } else {
                position += 1
            }
        }
        let label = words.dropFirst().joined(separator: " ")
        guard let first = words.first, first == "BEGIN" || first == "END", isKnown(label) else { return nil }
        return (first == "END", label)
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
    }

    private static func proper(_ label: String) -> String {
        label.uppercased().split(separator: " ").joined(separator: " ")
    }

    /// The labels that a misspelt label is compared with.
    private static let labels = [
        "CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE", "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST",
        "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY",
    ]

    /// Whether two texts differ by at most two inserted, deleted or replaced bytes (Levenshtein distance).
    private static func isNear(_ left: String, _ right: String) -> Bool {
        let (left, right) = (Array(left.utf8), Array(right.utf8))
        guard abs(left.count - right.count) <= 2 else { return false }
        var row = Array(0...right.count)
        for (index, byte) in left.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for column in right.indices {
                let changed = diagonal + (byte == right[column] ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(changed, row[column] + 1, row[column + 1] + 1)
            }
        }
        return row[right.count] <= 2
    }

    private static func isKnown(_ label: String) -> Bool {
        ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE", "PKCS7"].contains(label)
            || label.hasSuffix("PRIVATE KEY") || label == "CERTIFICATE REQUEST"
    }
}
