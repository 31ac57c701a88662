/// Lines that wait to be written; the first may be written in part. Pure: the caller writes.
///
/// After an interruption, writing continues at the exact byte, so a file never contains a broken line.
struct PendingLines {
    /// The result of a write.
    enum Outcome: Equatable {
        case written(Int)
        /// There is no room now; poll(2) reports when there is.
        case wouldBlock
        /// The write failed with this `errno`.
        case failed(Int32)
    }

    private var chunks: [[UInt8]] = []
    /// The index of the chunk that is being written.
    private var first = 0
    /// How many bytes of the chunk at `first` are written.
    private var offset = 0
    private static let lineEnd = UInt8(ascii: "\n")

    /// Whether to write a line end first, because another process left an unfinished line in the file.
    var owesLineEnd = false

    var isEmpty: Bool { first == chunks.count }

    /// The number of waiting bytes.
    private(set) var bytes = 0

    /// The number of lines that are not completely written.
    var lines: Int {
        guard !isEmpty else { return 0 }
        let rest = chunks[(first + 1)...].reduce(0) { $0 + $1.count { $0 == Self.lineEnd } }
        return rest + chunks[first][offset...].count { $0 == Self.lineEnd }
    }

    /// Adds lines at the end. Each must have its line end.
    mutating func append(_ lines: [UInt8]) {
        guard !lines.isEmpty else { return }
        chunks.append(lines)
        bytes += lines.count
    }

    /// Writes until no bytes wait, and then returns nil. If a write fails or would block, returns that outcome at once.
    /// `limit` is the most bytes of one write. A write of fewer than all bytes ends with a whole line if possible.
    mutating func write(atMost limit: Int = .max, _ write: (ArraySlice<UInt8>) -> Outcome) -> Outcome? {
        while !isEmpty {
            let outcome = write(owesLineEnd ? [Self.lineEnd] : piece(atMost: limit))
            guard case .written(let count) = outcome else { return outcome }
            if !owesLineEnd { advance(by: count) } else if count > 0 { owesLineEnd = false }
        }
        return nil
    }

    /// Returns to the start of a line that is written in part, since the whole line must go to another file.
    mutating func restartLine() {
        guard !isEmpty else { return }
        while offset > 0, chunks[first][offset - 1] != Self.lineEnd {
            offset -= 1
            bytes += 1
        }
    }

    /// Drops all lines and returns how many of them were not completely written.
    mutating func giveUp() -> Int {
        defer { self = PendingLines() }
        return lines
    }

    private func piece(atMost limit: Int) -> ArraySlice<UInt8> {
        let rest = chunks[first][offset...]
        guard rest.count > limit else { return rest }
        let piece = rest.prefix(limit)
        return piece.lastIndex(of: Self.lineEnd).map { rest[...$0] } ?? piece
    }

    private mutating func advance(by count: Int) {
        offset += count
        bytes -= count
        guard offset == chunks[first].count else { return }
        // The chunk's memory is freed at once, since it may be large.
        chunks[first] = []
        (first, offset) = (first + 1, 0)
        if isEmpty { (chunks, first) = ([], 0) }
    }
}
