/// A mistake in a PEM text that would make other programs lose a certificate silently. It is one of:
/// - a damaged BEGIN or END line: dashes or a line break missing, letters in lower case or wrong, an odd kind of space;
/// - an END line without BEGIN;
/// - base64 without a BEGIN line before it.
struct PEMSlip {
    private enum Kind { case damaged, isAlone, isGlued, isBody }

    private let kind: Kind
    private let label: String
    private let isEnd: Bool

    /// An END line without a BEGIN line before it.
    init(endOf label: String) { (kind, self.label, isEnd) = (.isAlone, label, true) }

    /// Finds base64 that no BEGIN line precedes; nil for any other line outside of blocks. DER of more than 127 bytes
    /// begins with the digits "MI", and comments beside blocks hardly ever contain a word as long as a line of base64.
    init?(bodyOutside line: Range<Int>, of text: Span<UInt8>) {
        guard line.count >= Self.leastBodyBytes, text[line.lowerBound] == UInt8(ascii: "M"),
            text[line.lowerBound + 1] == UInt8(ascii: "I"), PEM.isBase64(line, of: text)
        else { return nil }
        (kind, label, isEnd) = (.isBody, "CERTIFICATE", false)
    }

    /// The shortest line taken for base64. Lines of PEM have 64 digits (RFC 7468 section 2); some programs write 60.
    private static let leastBodyBytes = 60

    /// Finds a damaged BEGIN or END line; nil for any line that probably was not meant as one. A line outside of blocks
    /// that begins with `#` is a comment.
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

    /// Finds a label that is misspelt or in lower case; nil for any other label.
    init?(boundary label: String, isEnd: Bool) {
        let proper = Self.proper(label)
        let meant = Self.isKnown(proper) ? proper : Self.labels.first { Self.isNear($0, proper) }
        guard let meant, meant != label else { return nil }
        (kind, self.label, self.isEnd) = (.damaged, meant, isEnd)
    }

    /// The error for an operator. `position` is the offset of the line with the mistake.
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

    /// The length in bytes of the run of dashes at `start`. Word processors turn two dashes into one long dash, which
    /// has three bytes.
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

    /// Reads BEGIN or END and a known label. After the label, dashes or base64 may follow, but no other words: they
    /// would make it a sentence.
    private static func boundary(from start: Int, to end: Int, of text: Span<UInt8>) -> (isEnd: Bool, label: String)? {
        var words: [String] = []
        var position = start
        // The longest known label has three words.
        while position < end, words.count < 6 {
            if isLetter(text[position]) {
                let word = position..<((position..<end).first { !isLetter(text[$0]) } ?? end)
                // Only base64 has longer words.
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

    /// Whether one text can be turned into the other by at most two insertions, deletions or changes of a letter.
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
