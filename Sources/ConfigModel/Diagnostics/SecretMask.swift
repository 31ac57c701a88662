/// Hides secrets in a line of the file before it is shown under a diagnostic.
///
/// It works on text alone, since it must also serve files that do not parse, and hides rather too much than too little:
/// the value after any key that sounds like a secret, whole lines inside such a value, passwords in URLs, and long runs
/// of base64 or hex.
/// Hidden characters become asterisks one by one, so that a caret below still points at the right place.
enum SecretMask {
    private static let mask: Character = "*"
    /// A run this long of base64 or hex characters is taken for key material. Cloudflare ids have 32 characters.
    private static let keyMaterialLength = 40
    /// A secret's value is looked for at most this many lines above: a 4096-bit PEM key has 53.
    private static let maxValueLines = 200
    private static let secretWords = ["token", "secret", "password", "passwd", "key", "pem"]
    /// The file's own keys of secrets: what is near one of them is taken for it.
    private static let secretKeys = ["api_token", "origin_ca_key", "hmac_key", "token", "secret", "key", "pem"]
    /// Keys that sound like secrets and hold none.
    private static let harmlessKeys: Set<String> = ["key_type"]

    /// The characters of a line as they may be shown.
    static func hidingSecrets(in number: Int, of lines: SourceLines) -> [Character] {
        var line = Array(lines[number])
        if isInsideSecret(number, of: lines) {
            hide(line.indices, in: &line)
            return line
        }
        hideValues(in: &line)
        hideUserInfo(in: &line)
        hideKeyMaterial(in: &line)
        return line
    }

    private static func hide(_ range: Range<Int>, in line: inout [Character]) {
        for index in range where !line[index].isWhitespace { line[index] = mask }
    }

    /// Whether an earlier, less indented line opens a secret's value that this line continues.
    private static func isInsideSecret(_ number: Int, of lines: SourceLines) -> Bool {
        let line = Array(lines[number])
        guard !opensReference(line) else { return false }
        var depth = indentation(of: line)
        var above = number - 1
        while above >= max(1, number - maxValueLines), depth > 0 {
            let parent = Array(lines[above])
            above -= 1
            let parentDepth = indentation(of: parent)
            guard parentDepth < depth, !parent.allSatisfy(\.isWhitespace) else { continue }
            depth = parentDepth
            guard let colon = parent.lastIndex(of: ":"), isSecretKey(endingAt: colon, in: parent) else { continue }
            return true
        }
        return false
    }

    /// Whether the line names where a secret is kept, which is worth showing.
    private static func opensReference(_ line: [Character]) -> Bool {
        let text = String(line.drop { $0 == " " })
        return text.hasPrefix("env:") || text.hasPrefix("file:")
    }

    private static func indentation(of line: [Character]) -> Int {
        line.prefix { $0 == " " || $0 == "\t" || $0 == "-" }.count
    }

    /// Whether a key that sounds like a secret, or like one misspelt, stands right before the colon at this index.
    private static func isSecretKey(endingAt colon: Int, in line: [Character]) -> Bool {
        let key = key(endingAt: colon, in: line)
        guard !harmlessKeys.contains(key) else { return false }
        return secretWords.contains { key.contains($0) } || Suggestion.nearest(to: key, in: secretKeys) != nil
    }

    private static func key(endingAt colon: Int, in line: [Character]) -> String {
        var end = colon
        while end > 0, " \"'".contains(line[end - 1]) { end -= 1 }
        var start = end
        while start > 0, line[start - 1].isLetter || "_-".contains(line[start - 1]) { start -= 1 }
        return String(line[start..<end]).lowercased()
    }

    /// Hides what follows `token:` and the like, up to the next item of a flow mapping.
    private static func hideValues(in line: inout [Character]) {
        var index = 0
        // Where the braces close that a secret's key has opened: all but references is hidden up to there.
        var secretEnd = 0
        while let colon = line[index...].firstIndex(of: ":") {
            index = colon + 1
            let isKeyEnd = index == line.count || line[index] == " " || (colon > 0 && "\"'".contains(line[colon - 1]))
            let isReference = ["env", "file"].contains(key(endingAt: colon, in: line))
            let isSecret = isSecretKey(endingAt: colon, in: line)
            guard isKeyEnd, isSecret || colon < secretEnd else { continue }
            while index < line.count, line[index] == " " { index += 1 }
            guard index < line.count, !"|>&*#".contains(line[index]) else { continue }
            if isSecret, line[index] == "{" {
                secretEnd = closingBrace(line, from: index)
                continue
            }
            if isReference, !"{[".contains(line[index]) { continue }
            let end = endOfValue(line, from: index)
            hide(index..<end, in: &line)
            index = end
        }
    }

    private static func closingBrace(_ line: [Character], from open: Int) -> Int {
        var depth = 0
        for index in open..<line.count {
            if line[index] == "{" { depth += 1 }
            if line[index] == "}" { depth -= 1 }
            if depth == 0 { return index }
        }
        return line.count
    }

    private static func endOfValue(_ line: [Character], from start: Int) -> Int {
        switch line[start] {
        case "\"", "'": line[(start + 1)...].firstIndex(of: line[start]).map { $0 + 1 } ?? line.count
        case "[", "{": line.count
        default: line[start...].firstIndex { $0 == "," || $0 == "}" } ?? line.count
        }
    }

    /// Hides `user:password` before an `@`, in URLs and in what was meant as one.
    private static func hideUserInfo(in line: inout [Character]) {
        for at in line.indices where line[at] == "@" {
            var start = at
            while start > 0, !" \"'[{,/".contains(line[start - 1]) { start -= 1 }
            if line[start..<at].contains(":") { hide(start..<at, in: &line) }
        }
    }

    private static func hideKeyMaterial(in line: inout [Character]) {
        var start = 0
        for index in 0...line.count {
            if index < line.count, isKeyMaterial(line[index]) { continue }
            if index - start >= keyMaterialLength { hide(start..<index, in: &line) }
            start = index + 1
        }
    }

    private static func isKeyMaterial(_ character: Character) -> Bool {
        character.isASCII && (character.isLetter || character.isNumber || "+/=_-".contains(character))
    }
}
