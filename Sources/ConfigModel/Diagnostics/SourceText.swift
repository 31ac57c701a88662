/// The text of a configuration file, with the name that diagnostics give it.
package struct SourceText: Sendable {
    /// The largest accepted file: 64 MiB, enough for more than 200,000 hosts.
    package static let maxBytes = 64 * 1024 * 1024

    /// The name for messages, usually the path as the operator typed it.
    package let name: String
    /// The bytes of the file, including any byte order mark.
    package let bytes: [UInt8]

    /// Accepts any bytes; `Configuration.parse` checks whether they are usable.
    package init(name: String, bytes: [UInt8]) {
        self.name = name
        self.bytes = bytes
    }

    package init(name: String, _ text: String) {
        self.init(name: name, bytes: Array(text.utf8))
    }

    /// The length of a UTF-8 byte order mark at the start, in bytes: 3, or 0 when there is none.
    var byteOrderMarkLength: Int {
        bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    }

    func position(ofByte offset: Int) -> SourcePosition {
        var line = 1
        var lineStart = byteOrderMarkLength
        for index in lineStart..<max(lineStart, offset) where isLineEnd(index) {
            line += 1
            lineStart = index + 1
        }
        let column = bytes[lineStart..<max(lineStart, offset)].count { $0 & 0xC0 != 0x80 }
        return SourcePosition(line: line, column: column + 1)
    }

    /// Whether a line ends with this byte. As in YAML, lines end with LF, CR LF or a lone CR.
    func isLineEnd(_ index: Int) -> Bool {
        bytes[index] == UInt8(ascii: "\n")
            || (bytes[index] == UInt8(ascii: "\r")
                && (index + 1 == bytes.count || bytes[index + 1] != UInt8(ascii: "\n")))
    }
}

/// The lines of a text, found once for many diagnostics.
struct SourceLines {
    private let source: SourceText
    private let starts: [Int]

    init(_ source: SourceText) {
        self.source = source
        var starts = [source.byteOrderMarkLength]
        for index in source.bytes.indices where source.isLineEnd(index) {
            starts.append(index + 1)
        }
        self.starts = starts
    }

    /// The number of lines, at least one.
    var count: Int { starts.count }

    /// Whether a line begins with these ASCII characters.
    func starts(_ number: Int, with text: String) -> Bool {
        source.bytes[starts[number - 1]...].starts(with: text.utf8)
    }

    /// The length of a line in bytes, with its line end; 0 when there is no such line.
    func length(of number: Int) -> Int {
        guard number >= 1, number <= starts.count else { return 0 }
        return (number < starts.count ? starts[number] : source.bytes.count) - starts[number - 1]
    }

    /// The text of a line without its end; empty when there is no such line.
    subscript(number: Int) -> String {
        guard number >= 1, number <= starts.count else { return "" }
        var line = source.bytes[starts[number - 1]..<(starts[number - 1] + length(of: number))]
        while let last = line.last, last == UInt8(ascii: "\n") || last == UInt8(ascii: "\r") { line.removeLast() }
        return String(decoding: line, as: UTF8.self)
    }
}
